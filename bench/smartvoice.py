"""SmartVoice itself, as one of the servers under test."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hiredis
import httpx
from pydantic import SecretStr
from redis.asyncio import Redis

from app.core.eventlog.log import Event, EventLog, JobWrite
from app.core.ids import new_id
from app.core.jobs.service import JobRequest, Jobs
from app.core.redis import keys
from app.core.redis.client import connect
from app.core.redis.multiplexed import MultiplexedRedis
from app.core.settings import Settings
from app.core.vocabulary import NARRATION
from bench.load.producers import Appender, Producer, command, redis_writer
from bench.load.readers import Opening, sse_request
from bench.payload import FIRST, NUMBER, Template, fields, text
from bench.process import Process
from bench.server import HEARTBEAT_SECONDS, SECRET, Server, user
from tests.faults.publisher import make_project
from tests.support import NoDispatcher

_SEED = "u99999"


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
        self._settings = Settings(redis_url=f"redis://127.0.0.1:{redis.port}", secret_key=SecretStr(SECRET))

    @classmethod
    def process_of(cls, folder: Path, redis_port: int, **options: object) -> Process:
        command = [sys.executable, "-m", "app.cli", "web"]
        return _Web(command, folder, "web", environment=environment(folder, redis_port, **options))

    def opening(self, number: int, after: str | None = None) -> Opening:
        request = sse_request(self.process.port, "/api/events", self.token(number), after)
        return Opening(self.process.port, request, b"event: ready")

    async def producer(self, users: int, *, fast: bool) -> Producer:
        return await (self._pushes(users) if fast else self._reports(users))

    async def held_jobs(self, users: int) -> list[JobWrite]:
        """A job of each of so many users that a worker holds, as the write that reports on it."""
        async with connect(self._settings.redis, patient=True) as redis:
            return await self._held_jobs(redis, [user(number) for number in range(users)])

    async def _reports(self, users: int) -> Producer:
        """The commands by which workers report: the whole appending script, each with a nonce of its own."""
        writes = await self.held_jobs(users)
        async with connect(self._settings.redis, patient=True) as redis:
            # The first one makes the script known to the server.
            await EventLog(redis, self._settings).append(writes[0]._replace(events=[_event()]))
        unsent, templates = _Unsent(), list[Template]()
        log = EventLog(unsent, self._settings)
        for write in writes:
            await log.append(write._replace(events=[_event()]))
            templates.append(unsent.template())
        return await redis_writer(self.redis.port, templates)

    async def _pushes(self, users: int) -> Producer:
        """What the appending script does for an event to log and channel, learned from one that it did; what else it
        does (the job's hash and lease) is left out."""
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
        async with connect(self._settings.redis, patient=True) as redis:
            [write] = await self._held_jobs(redis, [_SEED])
            log = EventLog(redis, self._settings)
            key, channel = keys.log(_SEED), keys.channel(_SEED)
            await redis.delete(key)
            # The number that follows is the template's.
            await redis.hset(keys.user(_SEED), "epoch", str(self.epoch))
            await redis.xadd(key, {"h": "x"}, id=f"{self.epoch}-7777776")
            async with redis.pubsub() as pubsub:
                await pubsub.subscribe(channel)
                await pubsub.get_message(timeout=5)
                await log.append(write._replace(events=[_event()]))
                told = await pubsub.get_message(timeout=5)
            [[id, record]] = await redis.execute_command("XREVRANGE", key, "+", "-", "COUNT", 1)  # type: ignore[no-untyped-call] # redis-py's is untyped
            await redis.delete(key)
        flat = [word for pair in record.items() for word in pair] if isinstance(record, dict) else list(record)
        added = command(b"XADD", key.encode(), b"MAXLEN", b"~", b"10000", id, *flat)
        assert told is not None
        return added + (command(b"PUBLISH", channel.encode(), told["data"]) if publish else b"")

    async def _held_jobs(self, redis: Redis, names: Sequence[str]) -> list[JobWrite]:
        jobs = Jobs(redis, EventLog(redis, self._settings), self._settings, NoDispatcher())
        return [await _held_job(redis, jobs, name) for name in names]

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


class SmartVoiceCalled(SmartVoice):
    """The same, its events brought in by `EventLog.append` itself, so that what a report costs its writer is in it."""

    name = "smartvoice-called"
    title = "SmartVoice, from the call in Python"

    async def _reports(self, users: int) -> Producer:
        writes = await self.held_jobs(users)
        redis = connect(self._settings.redis, patient=True)
        return Appender(EventLog(redis, self._settings), writes)


class _Unsent(MultiplexedRedis):
    """Keeps the command that would be sent, and says that all went well."""

    _asked: tuple[Any, ...] = ()

    async def ask(self, *command: Any) -> Any:
        self._asked = command
        return [b"ok", b"0-0"]

    def template(self) -> Template:
        """The latest report. Its nonce, the second argument of `report.lua`, gets the event's number, so that it is
        another each time."""
        name, digest, keys_in_all, *words = self._asked
        nonce = keys_in_all + 1
        words[nonce] = f"{words[nonce]}-{NUMBER}"
        return Template(hiredis.pack_command((name, digest, keys_in_all, *words)))


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


async def _held_job(redis: Redis, jobs: Jobs, name: str) -> JobWrite:
    """A job that a worker holds, as the write that reports on it."""
    project = await make_project(redis, name)
    order = JobRequest(NARRATION, project, "zh-CN", chapter=new_id())
    job, _ = await jobs.create(name, order)
    claim = await jobs.claim(name, job.id, "start")
    return JobWrite(
        user=name,
        project=project,
        job=job.id,
        queue=job.queue,
        owner=job.owner,
        guard="report",
        attempt=str(claim.attempt),
        events=[],
        fields={"progress": str(fields()["progress"])},
        grace_seconds=3600,
    )


def _of(learned: bytes, number: int) -> Template:
    return Template(learned.replace(_SEED.encode(), user(number).encode()))


def _event() -> Event:
    return Event("audio:progress", text(), thin=True)
