"""What faults are done to: Redis and web processes that can be killed, a steady publisher, hundreds of readers."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.auth.tokens import Tokens
from app.cli import embedded
from app.core import keys
from app.core.errors import Refused
from app.core.eventlog import EventLog
from app.core.jobs import Claim, Jobs, Order
from app.core.messages import NARRATION, progress
from app.core.models import Project, new_id, now
from app.core.redis import connect, fields
from app.core.settings import Settings
from tests.stack import environment, free_port
from tests.support import NoHands, until

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


class RedisServer(Process):
    """A Redis that keeps everything in an append-only file, as `smartvoice up` starts it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(embedded.command(folder), folder, {}, "redis")
        self.url = f"unix://{embedded.socket_of(folder)}"

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


class Rig:
    """A Redis of the test's own, and as many web processes as the test asks for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._webs: list[Web] = []
        self.redis = RedisServer(folder)
        self.settings = Settings(redis_url=self.redis.url, data_dir=folder / "data", secret_key=_SECRET)

    @property
    def client(self) -> Redis:
        """A client that tells at once when Redis is away."""
        return connect(self.redis.url)

    def token(self, user: str) -> str:
        return Tokens(self.settings.signing_key()).sign(user, 3600)

    async def web(self, **settings: object) -> Web:
        """A web process that can serve; `settings` are SmartVoice's."""
        mine = {"redis_url": self.redis.url, "data_dir": self.settings.data_dir, "secret_key": _SECRET, **settings}
        web = Web(self._folder, {f"SMARTVOICE_{name.upper()}": str(value) for name, value in mine.items()})
        self._webs.append(web)
        await web.restart()
        return web

    def close(self) -> None:
        for process in [*self._webs, self.redis]:
            process.close()


@asynccontextmanager
async def rigged() -> AsyncIterator[Rig]:
    """A rig in a folder with a short name, as a socket's path wants it; nothing is left of it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="sv-"))
    rig = Rig(folder)
    try:
        await rig.redis.restart()
        yield rig
    finally:
        rig.close()
        shutil.rmtree(folder)


class Told(NamedTuple):
    """One event as a reader got it, or as it stands in the log."""

    id: str
    type: str
    data: bytes


@dataclass
class SseReader:
    """A reader that keeps its cursor and comes back with it, some hundred times cheaper than an HTTP library.

    Args:
        ports: where to connect, one after the other.
        returns: whether it connects anew when its stream has ended.
        cursor: after which event it begins; empty: at the end.
    """

    ports: Sequence[int]
    user: str
    token: str
    returns: bool = True
    events: list[Told] = field(default_factory=list)
    controls: Counter[str] = field(default_factory=Counter)
    goodbyes: list[tuple[float, dict[str, int]]] = field(default_factory=list)
    refusals: Counter[int] = field(default_factory=Counter)
    connections: int = 0
    ended_at: float = 0.0
    cursor: str = ""

    async def run(self) -> None:
        """Reads for ever, or until the stream ends where it is not to return."""
        for attempt in range(sys.maxsize):
            with suppress(OSError, EOFError):
                await self._connect(self.ports[attempt % len(self.ports)])
            self.ended_at = asyncio.get_running_loop().time()
            if self.connections and not self.returns:
                return
            await asyncio.sleep(random.uniform(0.1, 1.0))

    async def _connect(self, port: int) -> None:
        source, sink = await self._open(port)
        try:
            sink.write(self._request())
            status = await _status(source)
            if status != httpx.codes.OK:
                self.refusals[status] += 1
                return
            self.connections += 1
            await self._read(source)
        finally:
            sink.close()

    async def _open(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", port)

    async def _chunks(self, source: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """The body of a chunked response (RFC 9112, 7.1)."""
        while size := int((await source.readuntil(b"\r\n")), 16):
            chunk = await source.readexactly(size + 2)
            yield chunk[:-2]

    def _request(self) -> bytes:
        lines = ["GET /api/events HTTP/1.1", "Host: localhost", "Accept: text/event-stream"]
        lines.append(f"Authorization: Bearer {self.token}")
        if self.cursor:
            lines.append(f"Last-Event-ID: {self.cursor}")
        return "\r\n".join([*lines, "", ""]).encode()

    async def _read(self, source: asyncio.StreamReader) -> None:
        left = b""
        async for chunk in self._chunks(source):
            *frames, left = (left + chunk).split(b"\r\n\r\n")
            for frame in frames:
                self._take(frame)

    def _take(self, frame: bytes) -> None:
        lines = (line.split(b": ", 1) for line in frame.split(b"\r\n") if not line.startswith(b":"))
        told = dict(lines)
        type, data = told[b"event"].decode(), told[b"data"]
        self.cursor = told[b"id"].decode() if b"id" in told else self.cursor
        if ":" in type:
            self.events.append(Told(self.cursor, type, data))
            return
        self.controls[type] += 1
        if type == "goodbye":
            self.goodbyes.append((asyncio.get_running_loop().time(), json.loads(data)))


async def _status(source: asyncio.StreamReader) -> int:
    head = await source.readuntil(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1])


class Crowd:
    """Many readers of many users."""

    def __init__(self, readers: Iterable[SseReader]) -> None:
        self.readers = list(readers)
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """All of them read; entered when each has its place."""
        self._tasks = [asyncio.create_task(reader.run()) for reader in self.readers]
        try:
            await until(lambda: all(reader.controls["ready"] for reader in self.readers))
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def ended(self) -> bool:
        return all(task.done() for task in self._tasks)

    def total(self, count: Callable[[SseReader], int]) -> int:
        return sum(count(reader) for reader in self.readers)


async def make_project(redis: Redis, user: str) -> str:
    """The id of a project that jobs can be made for."""
    project = Project(
        id=new_id(),
        title="A book",
        language="en",
        voice=None,
        format="txt",
        characters=0,
        chapter_count=0,
        created_at=now(),
        updated_at=now(),
    )
    record = {name: "" if value is None else str(value) for name, value in project.json_dict().items()}
    await redis.hset(keys.project(user, project.id), mapping=fields(record))
    await redis.zadd(keys.projects(user), {project.id: 1})
    return project.id


@dataclass
class _Work:
    """One job on its way, and the step that is next."""

    user: str
    project: str
    job: str = ""
    claim: Claim | None = None
    done: int = 0


class Publisher:
    """Takes jobs of many users from beginning to end, one step at a time, at a steady rate.

    A step whose answer is lost may have been done or not: its job is left, and the log is the truth.
    """

    STEPS = 8

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._jobs = Jobs(redis, EventLog(redis, settings), settings, NoHands())
        self._work: list[_Work] = []
        self.steps = 0
        self.unknown = 0

    async def prepare(self, users: Sequence[str]) -> None:
        """A project for each user, so that there is something to tell of."""
        self._work = [_Work(user, await make_project(self._redis, user)) for user in users]

    async def run(self, steps: int, rate: float) -> None:
        """Does so many steps that succeed, at most `rate` a second."""
        loop = asyncio.get_running_loop()
        begin, target = loop.time(), self.steps + steps
        for turn in range(sys.maxsize):
            if self.steps >= target:
                return
            await asyncio.sleep(max(0.0, begin + turn / rate - loop.time()))
            await self._try(self._work[turn % len(self._work)])

    async def _try(self, work: _Work) -> None:
        try:
            await self._step(work)
            self.steps += 1
        except (RedisError, OSError, Refused):
            self.unknown += 1
            work.job, work.claim, work.done = "", None, 0

    async def _step(self, work: _Work) -> None:
        if not work.job:
            job, _ = await self._jobs.create(work.user, Order(NARRATION, work.project, "en", chapter=new_id()))
            work.job = job.id
        elif work.claim is None:
            work.claim = await self._jobs.claim(work.user, work.job, "start")
        elif work.done < self.STEPS:
            work.done += 1
            told = progress(NARRATION, "synthesis", "en", done=work.done, total=self.STEPS)
            await self._jobs.report(work.claim, told, thin=work.done > 1)
        else:
            await self._jobs.complete(work.claim, {"audioUrl": "/audios/x.mp3", "durationSeconds": 1.5}, {})
            work.job, work.claim, work.done = "", None, 0


async def logged(redis: Redis, user: str) -> list[Told]:
    """All that stands in a user's log."""
    rows: Any = await redis.xrange(keys.log(user))
    return [Told(id.decode(), values[b"h"].decode().split(" ")[0], values[b"d"]) for id, values in rows]


def narrow_socket(port: int) -> socket.socket:
    """A connection that takes in no more unasked than the system insists on."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", port))
    return narrow


class Stalled:
    """A client that opens a stream and reads no more of it than that it is open."""

    def __init__(self, port: int, token: str) -> None:
        self._socket = narrow_socket(port)
        self._socket.settimeout(_STOP_SECONDS)
        self._socket.sendall(
            f"GET /api/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )

    def is_open(self) -> bool:
        """Waits for the first line of the answer."""
        return self._socket.recv(15) == b"HTTP/1.1 200 OK"

    def close(self) -> None:
        self._socket.close()


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
