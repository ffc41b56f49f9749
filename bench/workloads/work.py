"""Workloads g and h: jobs from being asked for to their end, and narration on all cores."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from pydantic import SecretStr
from redis.asyncio import Redis

from app.core.eventlog.log import EventLog
from app.core.jobs.broker import WorkQueue
from app.core.jobs.service import JobRequest, Jobs
from app.core.projects.service import Projects, UploadedManuscript
from app.core.redis.client import connect
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from app.core.vocabulary import NARRATION, Language
from bench import install
from bench.measure import Row, folder_of, spending
from bench.process import ALL_CORES, LOAD_CORE, SERVER_CORE, Process
from bench.server import SECRET, fresh, node_process, redis_server
from bench.smartvoice import environment
from bench.stats import percentile
from bench.workloads import manuscript
from bench.workloads.streams import Plan
from tests.support import HandWorker, NoDispatcher

_JOB = re.compile(rb'"jobId":"(\w+)"')
_SECONDS = re.compile(rb'"durationSeconds":([0-9.]+)')
_USER = "u00001"
_THREADS = 8
_PATIENCE_SECONDS = 120.0
_BOOT_SECONDS = 3.0
_PEERS = Path(install.__file__).parent / "peers"


@dataclass
class Watch:
    """When each job first told of itself, and when it ended, by the clock of this process."""

    first: dict[str, float] = field(default_factory=dict)
    done: dict[str, float] = field(default_factory=dict)
    sound_seconds: float = 0.0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, message: bytes) -> None:
        job = _JOB.search(message)
        if job is None:
            return
        id = job[1].decode()
        if b"audio:complete" in message:
            self.done.setdefault(id, time.perf_counter())
            if seconds := _SECONDS.search(message):
                self.sound_seconds += float(seconds[1])
        elif b"audio:failed" in message:
            raise RuntimeError(f"a job failed: {message!r}")
        elif b'"stage":"queued"' not in message:
            self.first.setdefault(id, time.perf_counter())
        self.changed.set()

    def forget(self) -> None:
        """Forgets all jobs so far."""
        self.first.clear()
        self.done.clear()
        self.sound_seconds = 0.0

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns when `condition` holds, which may change with each event. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def watching(port: int, pattern: str) -> AsyncIterator[Watch]:
    """Hears all that is published on channels like `pattern`."""
    watch = Watch()
    async with Redis(port=port, socket_timeout=None) as redis, redis.pubsub() as pubsub:
        await pubsub.psubscribe(pattern)
        await pubsub.get_message(timeout=5)

        async def hear() -> None:
            async for message in pubsub.listen():
                watch.take(message["data"])

        hearing = asyncio.create_task(hear())
        try:
            yield watch
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)


class Asker:
    """Asks SmartVoice for narrations as its web side does, without HTTP."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._queue = WorkQueue(settings.queue)
        log = EventLog(redis, settings)
        self._jobs = Jobs(redis, log, settings, self._queue)
        # Parsing is not measured: it is done by hand.
        self._parsing = Jobs(redis, log, settings, NoDispatcher())
        self._projects = Projects(redis, Storage(settings.storage), self._parsing, settings)

    async def book(self, user: str, chapters: int) -> tuple[str, list[str]]:
        """A project with so many short chapters."""
        manuscript = UploadedManuscript(b"x", "txt", "A book", "en")
        project, job = await self._projects.create(user, manuscript)
        await HandWorker(self._parsing, self._projects).parse(user, {"id": job.id}, chapters)
        return project.id, [chapter.id for chapter in await self._projects.chapters(user, project.id)]

    async def set_text(self, user: str, project: str, chapter: str, text: str) -> None:
        await self._projects.change_chapter(user, project, chapter, {}, text=text)

    async def ask(self, user: str, project: str, chapter: str, language: Language = "en") -> str:
        job, _ = await self._jobs.create(user, JobRequest(NARRATION, project, language, chapter=chapter))
        return job.id


def _worker(folder: Path, redis_port: int, work: str, *, cores: str = SERVER_CORE, **options: object) -> Process:
    """`smartvoice worker`; `work`: "" as it is, "voice" with a voice that says nothing, "none" with nothing to do."""
    variables = environment(folder, redis_port, **options)
    if work:
        variables |= {"BENCH_WORK": work, "PYTHONPATH": f"{_PEERS / 'quiet'}:{install.ROOT}"}
    processes = str(options.get("worker_processes", 1))
    command = [sys.executable, "-m", "app.cli", "worker", "--processes", processes]
    return _Worker(command, folder, "worker", cores=cores, environment=variables)


class _Worker(Process):
    """A worker: it serves no port, and says when it is ready."""

    async def ready(self) -> bool:
        return "ready for action" in self._output.read_text(errors="replace")


@asynccontextmanager
async def _redis(build: Path, workload: str, name: str) -> AsyncIterator[tuple[Path, Process]]:
    folder = folder_of(build, workload, name)
    fresh(folder)
    async with redis_server(folder) as redis:
        yield folder, redis


async def smartvoice_jobs(plan: Plan, build: Path, work: str) -> list[Row]:
    """(g) SmartVoice: the time to the first progress at one job a second, jobs a second, CPU while nothing is asked."""
    name = "smartvoice" if work == "voice" else "smartvoice-none"
    title = "SmartVoice, a voice that says nothing" if work == "voice" else "SmartVoice, a job that does nothing"
    async with _redis(build, "g", name) as (folder, redis_process):
        port, count = redis_process.port, plan.jobs // (8 if work == "voice" else 1)
        settings = Settings(
            redis_url=f"redis://127.0.0.1:{port}", data_dir=folder / "data", secret_key=SecretStr(SECRET)
        )
        async with connect(settings.redis, patient=True) as redis, watching(port, "sv:*events") as watch:
            asker = Asker(redis, settings)
            books = {f"u{number:05d}": await asker.book(f"u{number:05d}", -(-count // 20)) for number in range(20)}
            orders = [(user, id, chapter) for user, (id, chapters) in books.items() for chapter in chapters][:count]
            worker = _worker(folder, port, work, worker_concurrency=_THREADS)
            async with worker:
                await asyncio.sleep(_BOOT_SECONDS)
                with spending(worker) as idle:
                    await asyncio.sleep(plan.rest_seconds)
                singles = await _one_a_second(asker, plan.single_jobs, watch)
            for order in orders:
                await asker.ask(*order)
            before = len(watch.done)
            earlier = set(watch.first)
            async with worker:
                with spending(worker, redis_process) as spent:
                    await watch.until(lambda: len(watch.done) >= before + len(orders))
        began = min(at for id, at in watch.first.items() if id not in earlier)
        seconds = max(watch.done.values()) - began
        figures = {**singles, "jobs_per_s": len(orders) / seconds, "cpu_ms_a_job": 1000 * spent.server / len(orders)}
        figures["idle_cpu_percent"] = 100 * idle.server / idle.seconds
        return [Row("g", name, title, figures, load=spent.load)]


async def _one_a_second(asker: Asker, count: int, watch: Watch) -> dict[str, float | None]:
    project, chapters = await asker.book(_USER, count)

    async def ask(number: int) -> str:
        return await asker.ask(_USER, project, chapters[number])

    return await _singles(ask, count, watch)


async def _singles(ask: Callable[[int], Awaitable[str]], count: int, watch: Watch) -> dict[str, float | None]:
    first, done = [], []
    for number in range(count):
        began = time.perf_counter()
        id = await ask(number)
        await watch.until(lambda id=id: id in watch.done)  # type: ignore[misc] # a default argument binds it now
        first.append(1000 * (watch.first[id] - began))
        done.append(1000 * (watch.done[id] - began))
        await asyncio.sleep(max(0.0, began + 1.0 - time.perf_counter()))
    return latencies(first, done)


def latencies(first: list[float], done: list[float]) -> dict[str, float | None]:
    """Medians and the 99 % of milliseconds to the first progress, and the median to the end."""
    return {
        "first_p50_ms": percentile([(ms, 1) for ms in first], 0.5),
        "first_p99_ms": percentile([(ms, 1) for ms in first], 0.99),
        "done_p50_ms": percentile([(ms, 1) for ms in done], 0.5),
    }


async def dramatiq_jobs(plan: Plan, build: Path) -> list[Row]:
    """(g) Dramatiq with its defaults."""
    async with _redis(build, "g", "dramatiq") as (folder, redis_process):
        port, count = redis_process.port, plan.jobs
        broker = RedisBroker(port=port, middleware=[])  # type: ignore[no-untyped-call] # dramatiq's is untyped
        broker.declare_queue("audio-generation")

        async def ask(number: int) -> str:
            message = dramatiq.Message[None](
                queue_name="audio-generation", actor_name="narrate", args=(f"job{number}",), kwargs={}, options={}
            )
            await asyncio.to_thread(broker.enqueue, message)
            return f"job{number}"

        words = ["-m", "dramatiq", "bench.peers.dramatiq_work", "--processes", "1", "--threads", str(_THREADS)]
        variables = {"BENCH_REDIS_PORT": str(port)}
        worker = _Worker([sys.executable, *words], folder, "worker", environment=variables)
        async with watching(port, "plain:*") as watch:
            async with worker:
                await asyncio.sleep(_BOOT_SECONDS)
                with spending(worker) as idle:
                    await asyncio.sleep(plan.rest_seconds)
                singles = await _singles(ask, plan.single_jobs, watch)
            for number in range(count):
                await ask(1000 + number)
            before, earlier = len(watch.done), set(watch.first)
            async with worker:
                with spending(worker, redis_process) as spent:
                    await watch.until(lambda: len(watch.done) >= before + count)
        began = min(at for id, at in watch.first.items() if id not in earlier)
        figures = {**singles, "jobs_per_s": count / (max(watch.done.values()) - began)}
        figures["cpu_ms_a_job"] = 1000 * spent.server / count
        figures["idle_cpu_percent"] = 100 * idle.server / idle.seconds
        row = Row("g", "dramatiq", "Dramatiq as it comes", figures, load=spent.load)
        row.note = "no job state, no log: told by pub/sub alone"
        return [row]


async def bullmq_jobs(plan: Plan, build: Path) -> list[Row]:
    """(g) BullMQ."""
    async with _redis(build, "g", "bullmq") as (folder, redis_process):
        port, count = redis_process.port, plan.jobs
        worker = _Node(node_process(folder, "bullmq_worker", port))
        async with worker.running(_BOOT_SECONDS) as process:
            with spending(process) as idle:
                await asyncio.sleep(plan.rest_seconds)
            told = json.loads(await _client(port, "latency", plan.single_jobs))
        await _client(port, "fill", count)
        client = await _start_client(port, "drain", count)
        assert client.stdout
        async with asyncio.timeout(_PATIENCE_SECONDS):
            assert b"listening" in await client.stdout.readline()
            async with worker.running(0.0) as process:
                with spending(process, redis_process) as spent:
                    drained = json.loads(await client.stdout.readline())
            await client.wait()
        figures = {**latencies(told["first"], told["done"]), "jobs_per_s": count / drained["seconds"]}
        figures["cpu_ms_a_job"] = 1000 * spent.server / count
        figures["idle_cpu_percent"] = 100 * idle.server / idle.seconds
        return [Row("g", "bullmq", "BullMQ on Node", figures, load=spent.load)]


class _Node:
    """A worker on Node, which says nothing when it is ready."""

    def __init__(self, process: Process) -> None:
        self._process = process
        process.ready = _at_once  # type: ignore[method-assign] # it listens nowhere

    @asynccontextmanager
    async def running(self, settle: float) -> AsyncIterator[Process]:
        async with self._process as process:
            await asyncio.sleep(settle)
            yield process


async def _at_once() -> bool:
    return True


async def _start_client(port: int, mode: str, count: int) -> asyncio.subprocess.Process:
    node = install.node()
    assert node
    words = ["taskset", "-c", LOAD_CORE, node, str(_PEERS / "bullmq_client.cjs"), str(port), mode, str(count)]
    variables = {"NODE_PATH": str(install.NODE_MODULES), "PATH": "/usr/bin:/bin"}
    return await asyncio.create_subprocess_exec(*words, env=variables, stdout=asyncio.subprocess.PIPE)


async def _client(port: int, mode: str, count: int) -> bytes:
    client = await _start_client(port, mode, count)
    async with asyncio.timeout(_PATIENCE_SECONDS):
        output, _ = await client.communicate()
    if client.returncode:
        raise RuntimeError(f"BullMQ's client ended with {client.returncode}")
    return output


async def narration(plan: Plan, build: Path, cores: int) -> list[Row]:
    """(h) The embedded voice on all cores: SmartVoice's workers, from the first job's start to the last one's end."""
    texts = manuscript.chapters(plan.characters, cores * 4)
    async with _redis(build, "h", "smartvoice") as (folder, redis_process):
        port = redis_process.port
        settings = Settings(
            redis_url=f"redis://127.0.0.1:{port}", data_dir=folder / "data", secret_key=SecretStr(SECRET)
        )
        async with connect(settings.redis, patient=True) as redis, watching(port, "sv:*events") as watch:
            asker = Asker(redis, settings)
            project, chapters = await asker.book(_USER, len(texts))
            for chapter, text in zip(chapters, texts, strict=True):
                await asker.set_text(_USER, project, chapter, text)
            worker = _worker(folder, port, "", cores=ALL_CORES, worker_processes=cores, worker_concurrency=2)
            async with worker:
                await asyncio.sleep(_BOOT_SECONDS)
                await _warm_up(asker, watch, cores)
                # What was parsed was a job, too.
                watch.forget()
                with spending(worker) as spent:
                    for chapter in chapters:
                        await asker.ask(_USER, project, chapter)
                    await watch.until(lambda: len(watch.done) == len(chapters))
        seconds = max(watch.done.values()) - min(watch.first.values())
        row = _narrated("smartvoice", "SmartVoice", watch.sound_seconds, seconds, spent.server, texts)
    return [row]


async def _warm_up(asker: Asker, watch: Watch, cores: int) -> None:
    """A few short narrations: the loop, too, is measured after it has loaded its libraries and its voice."""
    project, chapters = await asker.book("u00002", cores * 4)
    ids = {await asker.ask("u00002", project, chapter) for chapter in chapters}
    await watch.until(lambda: ids <= watch.done.keys())


async def bare_narration(plan: Plan, build: Path, cores: int) -> list[Row]:
    """(h) The same voice and encoder in a loop, a process for each core, and nothing else."""
    texts = manuscript.chapters(plan.characters, cores * 4)
    folder = folder_of(build, "h", "bare")
    fresh(folder)
    (folder / "texts.json").write_text(json.dumps(texts))
    words = [
        "taskset",
        "-c",
        ALL_CORES,
        sys.executable,
        "-m",
        "bench.peers.voice_loop",
        str(folder / "texts.json"),
        str(cores),
    ]
    variables = {"PYTHONPATH": str(install.ROOT), "PATH": "/usr/bin:/bin"}
    loops = [
        await asyncio.create_subprocess_exec(*words, str(core), env=variables, stdout=asyncio.subprocess.PIPE)
        for core in range(cores)
    ]
    async with asyncio.timeout(_PATIENCE_SECONDS):
        told = [json.loads((await loop.communicate())[0]) for loop in loops]
    seconds = max(one["ended"] for one in told) - min(one["began"] for one in told)
    sound, cpu = sum(one["sound"] for one in told), sum(one["cpu"] for one in told)
    return [_narrated("bare", "eSpeak NG + encoder in a loop", sound, seconds, cpu, texts)]


def _narrated(name: str, title: str, sound: float, seconds: float, cpu: float, texts: list[str]) -> Row:
    figures: dict[str, float | None] = {
        "times_real_time": sound / seconds,
        "characters_per_s": sum(map(len, texts)) / seconds,
        "cpu_s_per_hour": cpu / sound * 3600,
        "seconds": seconds,
    }
    return Row("h", name, title, figures)
