"""What every server under test has in common: how it is started, how a client opens its stream, how events get in."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import ClassVar

from app.auth.bearer_tokens import Tokens
from bench import install
from bench.load.producers import Producer
from bench.load.readers import Opening
from bench.process import LOAD_CORE, Process

SECRET = "a secret of the benchmarks, and of nobody else"
HEARTBEAT_SECONDS = 10
"""The same for all, so that an idle stream costs as many heartbeats everywhere."""
PEERS = Path(__file__).parent / "peers"
_LIVE_SECONDS = 7200


def user(number: int) -> str:
    """A user's name: as long as every other one, so that one's commands become another's by exchanging it."""
    return f"u{number:05d}"


def fresh(folder: Path) -> None:
    """Makes `folder`, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def redis_server(folder: Path) -> Process:
    """A Redis for one measurement, on the load's core; it keeps nothing on disk."""
    options = ["--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--maxclients", "30000"]
    return Process([install.redis(), *options], folder, "redis", cores=LOAD_CORE)


class Server(ABC):
    """A server under test with a Redis of its own."""

    name: ClassVar[str]
    title: ClassVar[str]
    resumes: ClassVar[bool] = False
    files_per_stream: ClassVar[int] = 1

    def __init__(self, redis: Process, process: Process) -> None:
        self.redis = redis
        self.process = process
        self._tokens = Tokens(SECRET.encode())

    @classmethod
    def missing(cls) -> str | None:
        """What this machine lacks to run it."""
        return None

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path, **options: object) -> AsyncIterator[Server]:
        """The server, started in a new `folder`; `options` are the server's own."""
        fresh(folder)
        async with AsyncExitStack() as stack:
            redis = await stack.enter_async_context(redis_server(folder))
            process = await stack.enter_async_context(cls.process_of(folder, redis.port, **options))
            yield cls(redis, process)

    @classmethod
    @abstractmethod
    def process_of(cls, folder: Path, redis_port: int, **options: object) -> Process:
        """The process, not yet started."""

    @abstractmethod
    def opening(self, number: int, after: str | None = None) -> Opening:
        """How the user with that number opens a stream."""

    @abstractmethod
    async def producer(self, users: int, *, fast: bool) -> Producer:
        """What brings events in for so many users; `fast` where the server's own way would be the limit."""

    def token(self, number: int) -> str:
        """What the user shows."""
        return self._tokens.sign(user(number), _LIVE_SECONDS)


def node_process(folder: Path, name: str, redis_port: int, *words: str) -> Process:
    """A peer that is written for Node."""
    node = install.node()
    assert node
    command = [node, str(PEERS / f"{name}.cjs"), "{port}", str(redis_port), SECRET, *words]
    return Process(
        command, folder, name, environment={"NODE_PATH": str(install.NODE_MODULES), "NODE_ENV": "production"}
    )
