"""The actors: ids in, one plain function called. A message that comes twice finds its job taken or done.

What a job needs is imported with the first one of its queue: numpy and FFmpeg alone are 40 MB, which a worker that has
nothing to do does without.
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
    """A function of a module, which is imported in a thread where it is not there yet: the loop goes on meanwhile."""
    if name not in _tasks:
        _tasks[name] = getattr(await asyncio.to_thread(import_module, module), name)
    return _tasks[name]


_tasks: dict[str, tasks.Task] = {}
