"""The actors: ids in, one plain function called. A message that comes twice finds its job taken or done."""

from __future__ import annotations

import dramatiq
from dramatiq.middleware import Shutdown

from app.core.messages import ASSEMBLY, NARRATION, PARSING
from workers import tasks
from workers.runtime import current


# That a worker is told to leave is no error of its actors.
@dramatiq.actor(queue_name=PARSING, throws=Shutdown)
async def parse_manuscript(user: str, job: str) -> None:
    await tasks.carry_out(current(), user, job, "read", tasks.parse_manuscript)


@dramatiq.actor(queue_name=NARRATION, throws=Shutdown)
async def narrate_chapter(user: str, job: str) -> None:
    await tasks.carry_out(current(), user, job, "start", tasks.narrate_chapter)


@dramatiq.actor(queue_name=ASSEMBLY, throws=Shutdown)
async def assemble_book(user: str, job: str) -> None:
    await tasks.carry_out(current(), user, job, "start", tasks.assemble_book)
