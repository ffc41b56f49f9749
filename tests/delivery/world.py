"""The processes that histories are played on, and the core's objects for who plays the workers."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.auth.bearer_tokens import Tokens
from app.cli import embedded_redis
from app.core.eventlog.log import EventLog
from app.core.jobs.service import Jobs
from app.core.projects.service import Projects
from app.core.redis.client import connect
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from tests import redis_servers
from tests.stack import environment, free_port
from tests.support import PATIENCE_SECONDS, NoDispatcher, until

T = TypeVar("T")

SECRET = "a secret that only this test knows, long enough to sign"

_NARROW_WEB = {"SMARTVOICE_RING_LENGTH": "4", "SMARTVOICE_PAGE_LENGTH": "3", "SMARTVOICE_CONFLATE_OVER": "2"}
"""One web process holds so little that short histories go through its log, its pages and its thinning."""


class World:
    """A Redis, two web processes, the core's objects on that Redis, and a loop that runs while a rule does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.users = (f"alice-{number}" for number in itertools.count(1))
        self.patience = PATIENCE_SECONDS
        self._runner = asyncio.Runner()
        self._redis_process = subprocess.Popen(redis_servers.command(folder))
        self._ports = [free_port(), free_port()]
        self._webs = [self._start_web(0), self._start_web(1)]
        self.settings = Settings(
            data_dir=folder,
            redis_url=f"unix://{embedded_redis.socket_of(folder)}",
            lease_seconds=600,
            max_losses=1000,
            secret_key=SECRET,
        )
        self.run(self._open())

    async def _open(self) -> None:
        self.redis: Redis = connect(self.settings.redis)
        self.log = EventLog(self.redis, self.settings)
        self.jobs = Jobs(self.redis, self.log, self.settings, NoDispatcher())
        self.projects = Projects(self.redis, Storage.of(self.settings), self.jobs, self.settings)
        self.http = httpx.AsyncClient(trust_env=False, timeout=40, limits=httpx.Limits(max_connections=None))
        await until(self._redis_answers)
        for web in range(len(self._webs)):
            await until(lambda web=web: self._web_answers(web))

    def close(self) -> None:
        self.run(self.http.aclose())
        self.run(self.redis.aclose())
        self._runner.close()
        for process in (*self._webs, self._redis_process):
            process.kill()
            process.wait()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def url(self, web: int) -> str:
        return f"http://127.0.0.1:{self._ports[web]}"

    def credential(self, user: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {Tokens(SECRET.encode()).sign(user, 86400)}"}

    def said(self, web: int) -> list[str]:
        """The last lines that a web process wrote."""
        return (self.folder / f"web-{web}.log").read_text().splitlines()[-4:]

    async def restart_redis(self) -> None:
        """Killed as soon as its file has all that it acknowledged: while it syncs, it holds writes back a while."""
        await until(self._redis_has_written)
        self._redis_process.kill()
        self._redis_process.wait()
        self._redis_process = subprocess.Popen(redis_servers.command(self.folder))
        await until(self._redis_answers)

    def restart_web(self, web: int) -> None:
        """Nobody waits for it: readers have to find it again by themselves."""
        self._webs[web].kill()
        self._webs[web].wait()
        self._webs[web] = self._start_web(web)

    def _start_web(self, web: int) -> subprocess.Popen[bytes]:
        given = {
            "SMARTVOICE_DATA_DIR": str(self.folder),
            "SMARTVOICE_PORT": str(self._ports[web]),
            "SMARTVOICE_SECRET_KEY": SECRET,
            "SMARTVOICE_HEARTBEAT_SECONDS": "0.5",
        }
        with (self.folder / f"web-{web}.log").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "app.cli", "web"],
                env=environment(given | (_NARROW_WEB if web else {})),
                cwd=self.folder,
                stdout=output,
                stderr=output,
            )

    async def _redis_answers(self) -> bool:
        with suppress(RedisError, OSError):
            return bool(await self.redis.ping())
        return False

    async def _redis_has_written(self) -> bool:
        return int((await self.redis.info("persistence"))["aof_buffer_length"]) == 0

    async def _web_answers(self, web: int) -> bool:
        with suppress(httpx.TransportError):
            return (await self.http.get(f"{self.url(web)}/readyz")).status_code == httpx.codes.OK
        return False
