"""A converter that somebody kills does not fail the manuscript: it is converted later, and costs nobody a worker."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from app.core.redis import keys
from app.core.redis.client import decoded
from tests.faults.rig import Rig, Worker
from tests.stack import alive, children_of, command_of
from tests.support import until

# Each takes the program some seconds.
LONG = {
    "rtf": ("book.rtf", b"{\\rtf1 " + b"One more ship came in.\\par " * 60_000 + b"}"),
    "md": ("book.md", b"# Chapter\n\n" + b"The lamp was *lit*, and `seen` from [afar](x).\n\n" * 40_000),
}
_SPLITTER = "splitter"
_QUICK: dict[str, Any] = {"retry_seconds": 0.1, "worker_concurrency": 1}


@asynccontextmanager
async def sent(rig: Rig, name: str, content: bytes) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """A client of a new web process, and the parse job that it began."""
    async with rig.client_of(await rig.web(), "alice") as http:
        answer = await http.post("/api/projects", files={"file": (name, content)})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        yield http, answer.json()["job"]["id"]


async def ended(http: httpx.AsyncClient, job: str) -> dict[str, Any]:
    async def found() -> dict[str, Any] | None:
        answer: dict[str, Any] = (await http.get(f"/api/jobs/text-parsing/{job}")).json()
        return answer if answer["state"] in {"completed", "failed"} else None

    result: dict[str, Any] = await until(found, timeout=90)
    return result


async def running(worker: Worker, program: str, *, but: int = 0) -> int:
    """The process of that program, once the launcher has become it."""

    def found() -> int | None:
        for pid in children_of(worker.pid):
            command = command_of(pid)
            if pid != but and program in command and "sandbox.launcher" not in command:
                return pid
        return None

    return int(await until(found, timeout=60))


async def counts(rig: Rig, job: str) -> tuple[int, int]:
    """How often an attempt at the job failed, and how often it lost its worker."""
    async with rig.client as redis:
        record = decoded(await redis.hgetall(keys.job("alice", job)))
    return int(record.get("failures", 0)), int(record.get("losses", 0))


@pytest.mark.parametrize("manuscript", LONG)
async def test_program_that_is_killed_is_run_again(rig: Rig, manuscript: str) -> None:
    worker = await rig.worker(**_QUICK)
    async with sent(rig, *LONG[manuscript]) as (http, job):
        os.kill(await running(worker, _SPLITTER), signal.SIGKILL)
        done = await ended(http, job)
    assert (done["state"], done["attempt"]) == ("completed", 2), worker.output
    assert await counts(rig, job) == (1, 0)


async def test_program_that_is_killed_each_time_fails_the_job_with_its_own_code(rig: Rig) -> None:
    worker = await rig.worker(max_retries=1, **_QUICK)
    async with sent(rig, *LONG["rtf"]) as (http, job):
        first = await running(worker, _SPLITTER)
        os.kill(first, signal.SIGKILL)
        os.kill(await running(worker, _SPLITTER, but=first), signal.SIGKILL)
        done = await ended(http, job)
    assert (done["state"], done["error"]["code"]) == ("failed", "conversion_killed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
async def test_service_that_is_told_to_end_with_all_its_processes_hands_the_job_back(
    rig: Rig, number: signal.Signals
) -> None:
    worker = await rig.worker(**_QUICK)
    async with sent(rig, *LONG["rtf"]) as (http, job):
        program = await running(worker, _SPLITTER)
        # As systemd does by default: each process of the service gets the signal.
        for pid in (*children_of(worker.pid), worker.pid):
            os.kill(pid, number)
        # Dramatiq begins anew when it is hung up.
        if number == signal.SIGTERM:
            worker.wait()
            await worker.restart()
        await until(lambda: not alive(program))
        done = await ended(http, job)
    assert (done["state"], done["attempt"]) == ("completed", 2), worker.output
    assert await counts(rig, job) == (0, 0), worker.output


async def test_program_that_is_killed_while_its_worker_is_told_to_end_costs_the_job_nothing(rig: Rig) -> None:
    worker = await rig.worker(**_QUICK)
    async with sent(rig, *LONG["rtf"]) as (http, job):
        program = await running(worker, _SPLITTER)
        # As a container's end does it: told first, and what does not heed it killed.
        for pid in (*children_of(worker.pid), worker.pid):
            os.kill(pid, signal.SIGKILL if pid == program else signal.SIGTERM)
        worker.wait()
        await worker.restart()
        done = await ended(http, job)
    assert (done["state"], done["attempt"]) == ("completed", 2), worker.output
    assert await counts(rig, job) == (0, 0), worker.output


async def test_worker_that_is_killed_takes_its_program_with_it(rig: Rig) -> None:
    worker = await rig.worker(lease_seconds=1.5, requeue_seconds=1.5, **_QUICK)
    async with sent(rig, *LONG["rtf"]) as (http, job):
        program = await running(worker, _SPLITTER)
        worker.kill()
        await until(lambda: not alive(program))
        await worker.restart()
        done = await ended(http, job)
    assert done["state"] == "completed"
    assert await counts(rig, job) == (0, 1)
