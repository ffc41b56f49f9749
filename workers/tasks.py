"""From a job to the plain function that does it, and from what that brings to the job's end."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from redis.exceptions import RedisError

from app.core import storage
from app.core.archive import Bounds
from app.core.errors import JobError, Problem, Refused
from app.core.jobs import Claim
from app.core.models import audio_url
from app.core.projects import ParsedChapter, audio_record
from workers.narration import Script, digest, narrate
from workers.parsing import parse
from workers.report import Report
from workers.reporter import Reporter
from workers.runtime import Runtime

logger = structlog.get_logger()

_ARTIST = "SmartVoice"


class Made(NamedTuple):
    """What a job brought: its result, and what changes in records with its end."""

    result: dict[str, Any]
    records: dict[str, dict[str, str]]


Task = Callable[[Runtime, Claim, Report], Awaitable[Made]]


async def carry_out(runtime: Runtime, user: str, job: str, first: str, task: Task) -> None:
    """Takes a job, has `task` do it, and ends it. `first` is the stage that the job enters by being taken.

    A job that is not, or no longer, this worker's to do is left alone. Raises RedisError: the reaper finds the job.
    """
    log = logger.bind(job=job)
    try:
        claim = await runtime.jobs.claim(user, job, first)
        log = log.bind(queue=claim.job.queue, attempt=claim.attempt)
        log.info("taken")
        await _attempt(runtime, claim, task)
    except Refused as refused:
        log.info("left_alone", reason=refused.reason)


async def _attempt(runtime: Runtime, claim: Claim, task: Task) -> None:
    reporter = Reporter(runtime.jobs, claim, runtime.settings.progress_per_second)
    lease = asyncio.create_task(_keep(runtime, claim))
    log = logger.bind(job=claim.job.id, attempt=claim.attempt)
    try:
        made = await task(runtime, claim, reporter)
        await reporter.close()
        await runtime.jobs.complete(claim, made.result, made.records)
        log.info("completed")
        return
    except (Refused, RedisError):
        raise
    except JobError as error:
        code, message = error.code, error.message
    except Problem as error:
        code, message = error.code, error.detail
    except Exception:
        # The outermost place of a job: whatever it was, the job must end, and the log must say why.
        log.exception("job_broke")
        code, message = "internal_error", "Something went wrong in the worker; its log says what."
    finally:
        lease.cancel()
        await reporter.close()
    log.info("failed", code=code)
    await runtime.jobs.fail(claim, code, message)


async def _keep(runtime: Runtime, claim: Claim) -> None:
    """Renews the lease while a step takes long and has nothing to report; the next report learns of a lost one."""
    kept = True
    while kept:
        await asyncio.sleep(runtime.settings.lease_seconds / 3)
        try:
            kept = await runtime.jobs.renew(claim)
        except (RedisError, OSError) as error:
            logger.warning("lease_not_renewed", job=claim.job.id, error=str(error))


async def parse_manuscript(runtime: Runtime, claim: Claim, report: Report) -> Made:
    """From the manuscript as it was uploaded to the project's chapters."""
    user, id = claim.user, claim.job.project_id
    project = await runtime.projects.get(user, id)
    settings = runtime.settings
    with tempfile.TemporaryDirectory(prefix="smartvoice-") as folder:
        source = Path(folder, "manuscript")
        await runtime.storage.fetch(storage.manuscript_path(user, id), source)
        parsed = await parse(
            source,
            project.format,
            project.title,
            project.language,
            report,
            max_chapters=settings.max_chapters,
            max_characters=settings.max_characters,
            bounds=Bounds(settings.max_archive_entries, settings.max_inflated_bytes),
        )
    chapters = [ParsedChapter(chapter.title, chapter.text) for chapter in parsed.chapters]
    records = await runtime.projects.add_chapters(user, id, chapters)
    return Made({"chapters": len(chapters), "characters": parsed.characters}, records)


async def narrate_chapter(runtime: Runtime, claim: Claim, report: Report) -> Made:
    """From a chapter's text to its audio."""
    user, id, chapter_id = claim.user, claim.job.project_id, claim.job.chapter_id or ""
    project = await runtime.projects.get(user, id)
    chapter, text, text_digest = await runtime.projects.text(user, id, chapter_id)
    script = Script(
        text=text,
        title=chapter.title,
        album=project.title,
        artist=_ARTIST,
        track=chapter.position,
        tracks=project.chapter_count,
        language=project.language,
        voice=project.voice,
    )
    name = f"{id}-{chapter_id}-{digest(script, runtime.engine)}"

    async def save(file: Path) -> None:
        await runtime.storage.put(storage.audio_path(user, name), file)

    seconds = round(await narrate(script, runtime.engine, save, report), 3)
    return Made(
        {"audioUrl": audio_url(name), "durationSeconds": seconds},
        audio_record(user, chapter_id, name, seconds, text_digest),
    )
