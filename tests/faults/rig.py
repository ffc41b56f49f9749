"""What faults are done to: Redis, web and worker processes that can be killed and started again."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.auth.bearer_tokens import Tokens
from app.cli import embedded_redis
from app.core.redis.client import connect
from app.core.settings import Settings
from tests import redis_servers
from tests.secret_leaks import leaks
from tests.stack import environment, free_port
from tests.support import until

_SECRET = "a secret of the tests, and of nobody else"
_STOP_SECONDS = 30.0


class Process:
    """A process of the test's own, which can be killed and started again."""

    def __init__(self, command: Sequence[str], folder: Path, settings: Mapping[str, str], name: str) -> None:
        self._command = command
        self._folder = folder
        self._environment = environment(settings)
        self._output = folder / f"{name}.log"
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.pid

    @property
    def output(self) -> str:
        """All that it has ever printed."""
        return self._output.read_text(errors="replace")

    def use(self, root: Path) -> None:
        """From its next start on it is of the version that lies in that folder."""
        self._environment["PYTHONPATH"] = str(root)

    def start(self) -> None:
        with self._output.open("ab") as output:
            # A session of its own, so that `close` reaches whatever it started.
            self._running = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def ended(self) -> bool:
        return self._running is None or self._running.poll() is not None

    def send(self, number: signal.Signals) -> None:
        assert self._running is not None
        self._running.send_signal(number)

    def kill(self) -> None:
        """Ends it as `kill -9` does."""
        self.send(signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        assert self._running is not None
        return self._running.wait(_STOP_SECONDS)

    async def stop(self) -> int:
        """Its exit status after SIGTERM."""
        self.send(signal.SIGTERM)
        await until(self.ended, _STOP_SECONDS)
        return self.wait()

    def close(self) -> None:
        """Leaves nothing of it behind, however the test ended."""
        if self._running is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._running.pid, signal.SIGKILL)
            self._running.wait(_STOP_SECONDS)
            assert not (found := leaks(self.output)), found


class RedisServer(Process):
    """A Redis that keeps everything in an append-only file, as `smartvoice up` starts it."""

    def __init__(self, folder: Path, binary: str | None = None) -> None:
        """`binary`: another server than it would choose."""
        chosen, *options = redis_servers.command(folder)
        super().__init__([binary or chosen, *options], folder, {}, "redis")
        self.url = f"unix://{embedded_redis.socket_of(folder)}"

    async def restart(self) -> None:
        """Starts it and waits until it has read its file."""
        self.start()
        async with connect(self.url) as client:

            async def answers() -> bool:
                with suppress(RedisError, OSError):
                    return bool(await client.ping())
                return False

            await until(answers)


class Web(Process):
    """A web process on a port that stays the same when it is started again."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.port = free_port()
        mine = {"SMARTVOICE_PORT": str(self.port), **settings}
        super().__init__([sys.executable, "-m", "app.cli", "web"], folder, mine, f"web-{self.port}")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def restart(self) -> None:
        """Starts it and waits until it can serve."""
        self.start()
        async with httpx.AsyncClient(base_url=self.address, trust_env=False) as http:

            async def ready() -> bool:
                assert not self.ended(), self.output
                with suppress(httpx.HTTPError):
                    return (await http.get("/readyz")).status_code == httpx.codes.OK
                return False

            await until(ready)


class Worker(Process):
    """A worker: Dramatiq's master and the one process that does the work."""

    def __init__(self, folder: Path, settings: Mapping[str, str], name: str) -> None:
        super().__init__([sys.executable, "-m", "app.cli", "worker", "--processes", "1"], folder, settings, name)

    async def restart(self) -> None:
        """Starts it and waits until it takes work."""
        before = self.output.count("ready for action") if self._output.exists() else 0
        self.start()
        await until(lambda: self.output.count("ready for action") > before or self.ended())
        assert not self.ended(), self.output

    def send_all(self, number: signal.Signals) -> None:
        """Sends a signal to all of its processes."""
        os.killpg(self.pid, number)

    def kill(self) -> None:
        self.send_all(signal.SIGKILL)
        self.wait()


class Rig:
    """A Redis of the test's own, and as many web and worker processes as the test asks for."""

    def __init__(self, folder: Path, variables: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._variables = dict(variables or {})
        self.root = Path(__file__).parents[2]
        """Where the version lies that new processes are of."""
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._others: list[Process] = []
        self.redis = RedisServer(folder)
        self.settings = Settings(redis_url=self.redis.url, data_dir=folder / "data", secret_key=_SECRET)

    @property
    def client(self) -> Redis:
        """A client that tells at once when Redis is away."""
        return connect(self.redis.url)

    def token(self, user: str) -> str:
        return Tokens(self.settings.signing_key()).sign(user, 3600)

    def client_of(self, web: Web, user: str) -> httpx.AsyncClient:
        """A client of `web` that is signed in as `user`."""
        headers = {"Authorization": f"Bearer {self.token(user)}"}
        return httpx.AsyncClient(base_url=web.address, headers=headers, trust_env=False, timeout=30)

    async def web(self, **settings: object) -> Web:
        """A web process that can serve; `settings` are SmartVoice's."""
        web = Web(self.folder, self._environment(settings))
        self._others.append(web)
        await web.restart()
        return web

    async def worker(self, *, clock_ahead: int = 0, **settings: object) -> Worker:
        """A worker that takes work, its machine's clock so many seconds ahead; `settings` are SmartVoice's."""
        variables = self._environment(settings)
        if clock_ahead:
            variables["PYTHONPATH"] = f"{self._other_clock(clock_ahead)}:{self.root}"
        worker = Worker(self.folder, variables, f"worker-{len(self._others)}")
        self._others.append(worker)
        await worker.restart()
        return worker

    def _other_clock(self, ahead: int) -> Path:
        """A folder from which Python, when it starts, gets another time of day."""
        folder = self.folder / f"clock-{ahead}"
        folder.mkdir(exist_ok=True)
        lines = ["import time", "right = time.time", f"time.time = lambda: right() + {ahead}"]
        (folder / "sitecustomize.py").write_text("\n".join(lines))
        return folder

    def close(self) -> None:
        for process in [*self._others, self.redis]:
            process.close()

    def _environment(self, settings: Mapping[str, object]) -> dict[str, str]:
        mine = {"redis_url": self.redis.url, "data_dir": self.settings.data_dir, "secret_key": _SECRET, **settings}
        ours = {"TMPDIR": str(self.temporary), "PYTHONPATH": str(self.root)}
        return ours | self._variables | {f"SMARTVOICE_{name.upper()}": str(value) for name, value in mine.items()}


async def restore(folder: Path, backup: Path) -> None:
    """As docs/run/operations.md says: Redis reads the copy once without its append-only file, and then writes one."""
    shutil.copy(backup / "dump.rdb", folder)
    shutil.copytree(backup / "storage", folder / "data" / "storage")
    command = redis_servers.command(folder)
    command[command.index("--appendonly") + 1] = "no"
    with subprocess.Popen(command) as process:
        async with connect(f"unix://{embedded_redis.socket_of(folder)}") as client:

            async def kept() -> bool:
                with suppress(RedisError, OSError):
                    await client.config_set("appendonly", "yes")
                    told = await client.info("persistence")
                    return bool(told["aof_enabled"] and not told["aof_rewrite_in_progress"])
                return False

            await until(kept)
            await client.shutdown(nosave=True)
        process.wait(_STOP_SECONDS)


@asynccontextmanager
async def rigged(backup: Path | None = None, variables: Mapping[str, str] | None = None) -> AsyncIterator[Rig]:
    """A rig in a folder with a short name, as a socket's path wants it; nothing is left of it at the end.

    It begins with what is in `backup`, as `deploy/backup` made it. `variables` are others than SmartVoice's, which its
    processes have.
    """
    folder = Path(tempfile.mkdtemp(prefix="sv-"))
    rig = Rig(folder, variables)
    if backup is not None:
        await restore(folder, backup)
    try:
        await rig.redis.restart()
        yield rig
    finally:
        rig.close()
        shutil.rmtree(folder)


def memory_kb(pid: int) -> int:
    """Resident memory of a process."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1])


def connections_to(port: int) -> int:
    """How many connections to a port of this machine its server still holds (proc(5), `/proc/net/tcp`)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # One that listens has no peer; one that its process has let go has no inode.
    return sum(
        int(local.split(":")[1], 16) == port and not peer.endswith(":0000") and inode != "0"
        for _, local, peer, *_, inode in (row[:10] for row in rows)
    )


def allow_sockets(number: int) -> None:
    """Lets this process, and what it starts, have so many files and sockets open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))
