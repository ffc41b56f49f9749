"""How the pipeline tells how far it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

# Awaited as `report(stage, done, total)`: a stage of the job's queue in `app.core.messages.STAGES`, and how many of
# its `total` units are done (0, 0 where a stage has no units). What it raises ends the work: so a job is cancelled.
Report = Callable[[str, int, int], Awaitable[None]]
