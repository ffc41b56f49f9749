"""The embedded Redis as `up` runs it: on data that it reads, converted and marked once it serves, given up where it
keeps ending at start."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console

from app.cli import embedded_redis
from app.cli.embedded_redis import NoRedis
from app.cli.redis_data_folder import MANUAL, RedisDataFolder
from app.core.machine_memory import share_of
from app.core.settings import Settings

console = Console(stderr=True, highlight=False)

_LAST_LINES = 6
_ARGUMENTS = re.compile(r",? with args .*")
_MAX_READ = 16_384


class RedisProcess:
    """The server, and the folder that it is started on. Raises NoRedis where there is none, or must not be started."""

    def __init__(self, settings: Settings) -> None:
        binary = embedded_redis.server_binary(settings.redis_binary)
        self._server = embedded_redis.server_of(binary)
        self._folder = RedisDataFolder(settings.data_dir.absolute())
        memory = share_of(settings.redis_memory_share)
        more = self._folder.options(self._server)
        self.command = embedded_redis.command(settings.data_dir, memory, binary)
        self.command += [word for name, value in more.items() for word in (f"--{name}", value)]
        self._writer = "" if self._folder.is_empty else self._folder.writer()
        self._log = self._folder.path / "redis.log"
        self._began = self._log.stat().st_size if self._log.exists() else 0

    async def took_over(self, redis: Redis) -> None:
        """It has read all and serves: mark the folder, and have a binary base written anew as commands.

        The server does that aside and puts the new base in place in one step: whatever ends in between, one of both is
        whole.
        """
        if self._writer not in {"", str(self._server)}:
            console.print(f"The data were written by {self._writer}; {self._server} has read them.", soft_wrap=True)
        if self._folder.header():
            with suppress(RedisError, OSError):  # where it cannot now, it will at the next start
                await redis.bgrewriteaof()
        self._folder.mark(self._server)

    def given_up(self, tries: int) -> NoRedis:
        """Why it is not started any more, with what it said last."""
        said = _last_lines(self._log, self._began) or ["nothing in its log; see above"]
        writer = f", which were written by {self._writer}" if self._writer else ""
        return NoRedis(
            f"{self._server} ended {tries} times before it served the data in {self._folder.path}{writer}. "
            f"It said (redis.log):\n\n  " + "\n  ".join(said) + "\n\nMend what it says, or name by "
            f"SMARTVOICE_REDIS_BINARY a server that reads these data, such as the one that wrote them. Let no tool "
            f"repair the files before you have copied the folder. See {MANUAL}."
        )


def _last_lines(log: Path, began: int) -> list[str]:
    """What the server wrote into its log since, at its last start."""
    with suppress(FileNotFoundError), log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(began, size - _MAX_READ))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        process = lines[-1].partition(":")[0] if lines else ""
        own = [line for line in lines if line.startswith(f"{process}:") and "overcommit" not in line]
        # A command's arguments are people's data, such as a password's hash.
        return [_ARGUMENTS.sub("", line) for line in own[-_LAST_LINES:]]
    return []
