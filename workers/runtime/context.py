"""What a worker process holds open while it works, and its background tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.aio import cancel_and_wait
from app.core.errors import JobError
from app.core.eventlog.log import EventLog
from app.core.eventlog.worker_capacity import WorkerCapacity
from app.core.jobs.broker import WorkQueue
from app.core.jobs.service import Jobs
from app.core.json_model import compact
from app.core.projects.deletion import ProjectDeletion
from app.core.projects.service import Projects
from app.core.redis import keys
from app.core.redis.client import connect, fault_of, prepare
from app.core.settings import Settings
from app.core.status.exposition import exposed
from app.core.storage.object_store import Storage
from app.core.telemetry import tracing
from workers.core.scratch import clear_away
from workers.engines.registry import engine_of
from workers.runtime.metrics_server import metrics_server
from workers.runtime.orphaned_files import OrphanedFiles
from workers.runtime.reaper import reap_for_ever
from workers.runtime.sweeper import sweep_for_ever
from workers.speech.engine import Engine, Voice
from workers.voice.process_pool import VoiceProcesses

logger = structlog.get_logger()


@dataclass(frozen=True)
class Runtime:
    """One of each for a worker process, all used on its event loop."""

    settings: Settings
    redis: Redis
    storage: Storage
    jobs: Jobs
    projects: Projects
    deletion: ProjectDeletion
    queue: WorkQueue
    engine: Engine


@asynccontextmanager
async def opened(settings: Settings, fault: Callable[[], str] = str) -> AsyncIterator[Runtime]:
    """Open everything, publish the voices, and run reaper and sweeper within the context.

    `fault`: why this worker takes no jobs, in words; empty if it does.
    """

    async def examine() -> str:
        return await fault_of(redis) or fault()

    await asyncio.to_thread(clear_away)
    redis = connect(settings.redis, patient=True)
    await prepare(redis)
    storage = Storage.of(settings)
    queue = WorkQueue(settings.queue)
    capacity = WorkerCapacity(redis, settings, settings.worker_concurrency)
    jobs = Jobs(redis, EventLog(redis, settings, capacity), settings, queue)
    projects = Projects(redis, storage, jobs, settings)
    deletion = ProjectDeletion(redis, storage, jobs, settings)
    runtime = Runtime(settings, redis, storage, jobs, projects, deletion, queue, engine_of(settings))
    tasks = [
        asyncio.create_task(_tell_voices(runtime)),
        asyncio.create_task(reap_for_ever(jobs, queue, settings.lease_seconds)),
        asyncio.create_task(
            sweep_for_ever(redis, deletion, storage, OrphanedFiles(redis, storage, projects), settings)
        ),
    ]
    try:
        # Here, not when the broker is set up: Dramatiq forks between the two.
        with tracing.running("smartvoice-worker"):
            async with capacity.running(), exposed(settings, "worker", examine), metrics_server(settings, redis):
                yield runtime
    finally:
        await cancel_and_wait(*tasks)
        # Left by a worker that was killed beside this one: no other may start here for a long time.
        await asyncio.to_thread(clear_away)
        await runtime.engine.aclose()
        await queue.aclose()
        await redis.aclose()


_current: Runtime | None = None


def current() -> Runtime:
    """Return this process' runtime: an actor is given nothing but its message."""
    if _current is None:
        raise RuntimeError("the worker has not booted: is OpenRuntime among the broker's middleware?")
    return _current


def set_current(runtime: Runtime | None) -> None:
    """Set the runtime when the worker boots; clear it when it ends."""
    global _current
    _current = runtime


async def _tell_voices(runtime: Runtime) -> None:
    """Publish this worker's voices: the web side never loads an engine."""
    while True:
        try:
            voices = await asyncio.to_thread(runtime.engine.voices)
            await runtime.redis.set(keys.VOICES, _told(runtime.engine, voices))
            if isinstance(runtime.engine, VoiceProcesses):
                await asyncio.to_thread(runtime.engine.rest)
            return
        except (RedisError, JobError) as error:
            logger.warning("voices_untold", error=str(error))
            await asyncio.sleep(2)


def _told(engine: Engine, voices: list[Voice]) -> str:
    by_language: dict[str, list[dict[str, str]]] = {}
    for voice in voices:
        by_language.setdefault(voice.language, []).append({"id": voice.id, "name": voice.name})
    return compact({"engine": engine.name, "voices": by_language})
