"""The actors: ids in, one plain function called. A message that comes twice finds its job taken or done."""

from __future__ import annotations

import dramatiq

from app.core.messages import ASSEMBLY, NARRATION, PARSING
from workers import tasks
from workers.runtime import current


@dramatiq.actor(queue_name=PARSING)
async def parse_manuscript(user: str, job: str) -> None:
    await tasks.carry_out(current(), user, job, "read", tasks.parse_manuscript)


@dramatiq.actor(queue_name=NARRATION)
async def narrate_chapter(user: str, job: str) -> None:
    await tasks.carry_out(current(), user, job, "start", tasks.narrate_chapter)


@dramatiq.actor(queue_name=ASSEMBLY)
async def assemble_book(user: str, job: str) -> None:
    await tasks.carry_out(current(), user, job, "start", tasks.assemble_book)
