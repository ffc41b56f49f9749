"""The actors take ids and call one plain function. A message that is delivered twice finds its job claimed or done.

What a job needs is imported with the first job of its queue: an idle worker saves the 40 MB of numpy and FFmpeg.
"""

from __future__ import annotations

import asyncio
from importlib import import_module

import dramatiq

from app.core.vocabulary import ASSEMBLY, NARRATION, PARSING
from workers.jobs import tasks
from workers.runtime.context import current


@dramatiq.actor(queue_name=PARSING)
async def parse_manuscript(user: str, job: str) -> None:
    task = await _task("workers.jobs.parse_task", "parse_manuscript")
    await tasks.carry_out(current(), user, job, "read", task)


@dramatiq.actor(queue_name=NARRATION)
async def narrate_chapter(user: str, job: str) -> None:
    task = await _task("workers.jobs.narrate_task", "narrate_chapter")
    await tasks.carry_out(current(), user, job, "start", task)


@dramatiq.actor(queue_name=ASSEMBLY)
async def assemble_book(user: str, job: str) -> None:
    task = await _task("workers.jobs.assemble_task", "assemble_book")
    await tasks.carry_out(current(), user, job, "start", task)


async def _task(module: str, name: str) -> tasks.Task:
    """Return a function of a module, imported in a thread at its first use, so that the loop goes on meanwhile."""
    if name not in _tasks:
        _tasks[name] = getattr(await asyncio.to_thread(import_module, module), name)
    return _tasks[name]


_tasks: dict[str, tasks.Task] = {}
