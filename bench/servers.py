"""Every server that delivers events: how it is started, how a client opens its stream, and how events get in."""

from __future__ import annotations

import shutil
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import ClassVar

import httpx
from pydantic import SecretStr
from redis.asyncio import Redis

from app.auth.tokens import Tokens
from app.cli import embedded
from app.core import keys
from app.core.eventlog import Event, EventLog, Write
from app.core.jobs import Jobs, Order
from app.core.messages import NARRATION
from app.core.models import new_id
from app.core.redis import connect
from app.core.settings import Settings
from bench import install
from bench.load.msgpack import packed
from bench.load.producers import Appender, Producer, command, http_writer, redis_writer
from bench.load.readers import Opening, sse_request, upgrade_request
from bench.payload import FIRST, Template, fields, text
from bench.process import LOAD_CORE, Process
from tests.faults.publisher import make_project
from tests.support import NoHands

SECRET = "a secret of the benchmarks, and of nobody else"
HEARTBEAT_SECONDS = 10
"""The same for all, so that an idle stream costs as many heartbeats everywhere."""
_PEERS = Path(__file__).parent / "peers"
_SEED = "u99999"
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
    return Process([embedded.server_binary(), *options], folder, "redis", cores=LOAD_CORE)


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


class _Web(Process):
    """`smartvoice web`, which serves once it says so."""

    async def ready(self) -> bool:
        if not await super().ready():
            return False
        async with httpx.AsyncClient(trust_env=False) as http:
            try:
                return (await http.get(f"http://127.0.0.1:{self.port}/readyz")).is_success
            except httpx.HTTPError:
                return False


class SmartVoice(Server):
    """`smartvoice web` as it is."""

    name = "smartvoice"
    title = "SmartVoice"
    resumes = True

    def __init__(self, redis: Process, process: Process) -> None:
        super().__init__(redis, process)
        self.epoch = int(time.time()) - 1000

    @classmethod
    def process_of(cls, folder: Path, redis_port: int, **options: object) -> Process:
        command = [sys.executable, "-m", "app.cli", "web"]
        return _Web(command, folder, "web", environment=environment(folder, redis_port, **options))

    def opening(self, number: int, after: str | None = None) -> Opening:
        request = sse_request(self.process.port, "/api/events", self.token(number), after)
        return Opening(self.process.port, request, b"event: ready")

    async def producer(self, users: int, *, fast: bool) -> Producer:
        return await (self._fast(users) if fast else self._real(users))

    async def _real(self, users: int) -> Producer:
        settings = Settings(redis_url=f"redis://127.0.0.1:{self.redis.port}", secret_key=SecretStr(SECRET))
        redis = connect(settings.redis, patient=True)
        log = EventLog(redis, settings)
        jobs = Jobs(redis, log, settings, NoHands())
        return Appender(log, [await _held_job(redis, jobs, user(number)) for number in range(users)])

    async def _fast(self, users: int) -> Producer:
        """The same commands on Redis that the appending script gives for an event, learned from one that it did give;
        what else it does (the job's hash and lease) is left out."""
        learned = await self._learn()
        return await redis_writer(self.redis.port, [_of(learned, number) for number in range(users)])

    async def fill(self, users: int, events: int) -> None:
        """Puts so many events into each of so many logs, of which nobody is told."""
        learned = await self._learn(publish=False)
        writer = await redis_writer(self.redis.port, [_of(learned, number) for number in range(users)])
        for number in range(users):
            for event in range(events):
                writer.send(number, FIRST + event)
            if number % 200 == 0:
                await writer.settle()
        await writer.settle()
        writer.close()

    async def _learn(self, *, publish: bool = True) -> bytes:
        settings = Settings(redis_url=f"redis://127.0.0.1:{self.redis.port}", secret_key=SecretStr(SECRET))
        async with connect(settings.redis, patient=True) as redis:
            log = EventLog(redis, settings)
            write = await _held_job(redis, Jobs(redis, log, settings, NoHands()), _SEED)
            key, channel = keys.log(_SEED), keys.channel(_SEED)
            await redis.delete(key)
            # The number that follows is the template's.
            await redis.hset(keys.user(_SEED), "epoch", str(self.epoch))
            await redis.xadd(key, {"h": "x"}, id=f"{self.epoch}-7777776")
            async with redis.pubsub() as pubsub:
                await pubsub.subscribe(channel)
                await pubsub.get_message(timeout=5)
                await log.append(write._replace(events=[Event("audio:progress", text(), thin=True)]))
                told = await pubsub.get_message(timeout=5)
            [[id, record]] = await redis.execute_command("XREVRANGE", key, "+", "-", "COUNT", 1)  # type: ignore[no-untyped-call] # redis-py's is untyped
            await redis.delete(key)
        flat = [word for pair in record.items() for word in pair] if isinstance(record, dict) else list(record)
        added = command(b"XADD", key.encode(), b"MAXLEN", b"~", b"10000", id, *flat)
        assert told is not None
        return added + (command(b"PUBLISH", channel.encode(), told["data"]) if publish else b"")

    async def begin_logs(self, users: int) -> None:
        """Has each log stand right before the first event's number."""
        writer = await redis_writer(self.redis.port, [])
        for number in range(users):
            words = [
                "XADD",
                keys.log(user(number)),
                f"{self.epoch}-{FIRST - 1}",
                "h",
                "audio:progress p j thin",
                "d",
                "{}",
            ]
            writer.write(command(*(word.encode() for word in words)))
        await writer.settle()
        writer.close()


class SmartVoiceTwice(SmartVoice):
    """The same with two web processes on the one core."""

    name = "smartvoice2"
    title = "SmartVoice, 2 web processes"

    @classmethod
    def process_of(cls, folder: Path, redis_port: int, **options: object) -> Process:
        return super().process_of(folder, redis_port, web_processes=2, **options)


class SocketIo(Server):
    """Socket.IO 4 with its Redis adapter."""

    name = "socketio"
    title = "Socket.IO 4 + Redis adapter"

    @classmethod
    def missing(cls) -> str | None:
        return None if install.node() else "Node.js with npm, and npm's registry within reach"

    @classmethod
    def process_of(cls, folder: Path, redis_port: int, **options: object) -> Process:
        return node_process(folder, "socketio", redis_port, str(HEARTBEAT_SECONDS * 1000))

    def opening(self, number: int, after: str | None = None) -> Opening:
        port = self.process.port
        return Opening(port, upgrade_request(port), b'40{"sid"', self.token(number))

    async def producer(self, users: int, *, fast: bool) -> Producer:
        templates = [Template(self._published(f"user:{user(number)}")) for number in range(users)]
        return await redis_writer(self.redis.port, templates)

    def _published(self, room: str) -> bytes:
        """What Socket.IO's emitter for processes without a server publishes."""
        packet = {"type": 2, "data": ["audio:progress", fields()], "nsp": "/"}
        message = packed(["emitter", packet, {"rooms": [room], "except": [], "flags": {}}])
        return command(b"PUBLISH", f"socket.io#/#{room}#".encode(), message)


class Tutorial(Server):
    """sse-starlette as tutorials use it."""

    name = "tutorial"
    title = "sse-starlette as in tutorials"
    files_per_stream = 2
    _module: ClassVar[str] = "bench.peers.tutorial:app"

    @classmethod
    def process_of(cls, folder: Path, redis_port: int, **options: object) -> Process:
        options_of_uvicorn = ["--log-level", "warning", "--no-access-log", "--backlog", "4096"]
        command = [sys.executable, "-m", "uvicorn", cls._module, "--port", "{port}", *options_of_uvicorn]
        environment = {
            "BENCH_SECRET": SECRET,
            "BENCH_REDIS_PORT": str(redis_port),
            "BENCH_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS),
        }
        return Process(command, folder, cls.name, environment=environment)

    def opening(self, number: int, after: str | None = None) -> Opening:
        port = self.process.port
        return Opening(port, sse_request(port, f"/api/events?{user(number)}", self.token(number)), b"event: ready")

    async def producer(self, users: int, *, fast: bool) -> Producer:
        channels = [f"{self.name}:{user(number)}".encode() for number in range(users)]
        data = text().encode()
        return await redis_writer(
            self.redis.port, [Template(command(b"PUBLISH", channel, data)) for channel in channels]
        )


class Bare(Tutorial):
    """uvicorn and nothing else."""

    name = "bare"
    title = "uvicorn alone"
    files_per_stream = 1
    _module = "bench.peers.bare:app"


class Nchan(Server):
    """nginx with nchan."""

    name = "nchan"
    title = "nginx + nchan"
    resumes = False

    @classmethod
    def missing(cls) -> str | None:
        return None if install.nchan() else "nginx of Debian (apt-get install nginx-light)"

    @classmethod
    def process_of(cls, folder: Path, redis_port: int, **options: object) -> Process:
        nginx, module = install.nginx(), install.nchan()
        assert nginx
        assert module
        process = Process([nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"], folder, "nginx")
        written = (_PEERS / "nchan.conf").read_text()
        for word, value in {"FOLDER": folder, "MODULE": module, "PORT": process.port}.items():
            written = written.replace(word, str(value))
        (folder / "nginx.conf").write_text(written)
        return process

    def opening(self, number: int, after: str | None = None) -> Opening:
        port = self.process.port
        return Opening(port, sse_request(port, f"/events?user={user(number)}", None), b"\r\n\r\n")

    async def producer(self, users: int, *, fast: bool) -> Producer:
        return await http_writer(self.process.port, [self._post(user(number)) for number in range(users)])

    def _post(self, name: str) -> Template:
        body = text().encode()
        lines = [f"POST /publish?user={name} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
        lines += ["Content-Type: application/json", "X-EventSource-Event: audio:progress"]
        return Template("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


ALL: Sequence[type[Server]] = (SmartVoice, SocketIo, Nchan, Tutorial, Bare)


def environment(folder: Path, redis_port: int, **options: object) -> dict[str, str]:
    """SmartVoice's settings: its defaults but for addresses, limits and the heartbeat that all share."""
    settings = {
        "redis_url": f"redis://127.0.0.1:{redis_port}",
        "data_dir": folder / "data",
        "secret_key": SECRET,
        "port": "{port}",
        "heartbeat_seconds": HEARTBEAT_SECONDS,
        "max_streams_per_user": 2000,
        **options,
    }
    return {f"SMARTVOICE_{name.upper()}": str(value) for name, value in settings.items()}


def node_process(folder: Path, name: str, redis_port: int, *words: str) -> Process:
    """A peer that is written for Node."""
    node = install.node()
    assert node
    command = [node, str(_PEERS / f"{name}.cjs"), "{port}", str(redis_port), SECRET, *words]
    return Process(
        command, folder, name, environment={"NODE_PATH": str(install.NODE_MODULES), "NODE_ENV": "production"}
    )


async def _held_job(redis: Redis, jobs: Jobs, name: str) -> Write:
    """A job that a worker holds, as the write that reports on it."""
    project = await make_project(redis, name)
    order = Order(NARRATION, project, "zh-CN", chapter=new_id())
    job, _ = await jobs.create(name, order)
    claim = await jobs.claim(name, job.id, "start")
    return Write(
        user=name,
        project=project,
        job=job.id,
        owner=job.owner,
        guard="report",
        attempt=str(claim.attempt),
        events=[],
        fields={"progress": str(fields()["progress"])},
        grace_seconds=3600,
    )


def _of(learned: bytes, number: int) -> Template:
    return Template(learned.replace(_SEED.encode(), user(number).encode()))
