"""From a job to the plain function that does it, and from what that brings to the job's end."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import structlog
from redis.exceptions import RedisError
from structlog.contextvars import bind_contextvars

from app.core import books, storage, tracing
from app.core.archive import Bounds
from app.core.errors import JobError, NotFound, Problem, Refused, Unavailable
from app.core.estimate import estimate
from app.core.jobs import Claim
from app.core.messages import Language
from app.core.metrics import JOB_SECONDS, JOBS_ACTIVE, labelled
from app.core.models import Chapter, Project, audio_url, compact, ways_of
from app.core.projects import ParsedChapter, audio_record
from app.core.settings import Settings
from app.core.text import language_of
from workers.audio.encode import Cover, Encoding
from workers.audio.level import Level
from workers.book.assembly import Edition, Track, assemble
from workers.book.shelf import ProjectShelf
from workers.hold import while_ours
from workers.manuscript import cover
from workers.narration import Script, Sound, digest, narrate
from workers.parsing import Parsed, parse
from workers.report import Report
from workers.reporter import Reporter
from workers.runtime import Runtime
from workers.scheduler import GaveWay, current_slot
from workers.speech.kept import ProjectSegments
from workers.speech.pauses import Pauses
from workers.workplace import workplace

logger = structlog.get_logger()

_ARTIST = "SmartVoice"
_LOOK = 2000  # characters of a chapter that show a book's language
_LOOK_CHAPTERS = 20
_LONGEST_PAUSE = 300.0
_REDIS_PAUSE = 1.0


class Made(NamedTuple):
    """What a job brought: its result, and what changes in records with its end."""

    result: dict[str, Any]
    records: dict[str, dict[str, str]]


Task = Callable[[Runtime, Claim, Report], Coroutine[Any, Any, Made]]


async def carry_out(runtime: Runtime, user: str, job: str, first: str, task: Task) -> None:
    """Takes a job, has `task` do it, and ends it. `first` is the stage that the job enters by being taken.

    A job that is not, or no longer, this worker's to do is left alone. One that this worker cannot go on with, because
    it is told to leave or because Redis was away, is handed back. Raises RedisError: the reaper finds the job.
    """
    # All that is logged from here on is of this job.
    bind_contextvars(job=job)
    try:
        claim = await runtime.jobs.claim(user, job, first)
    except Refused as refused:
        logger.info("left_alone", reason=refused.reason)
        return
    bind_contextvars(queue=claim.job.queue, attempt=claim.attempt)
    with tracing.span(f"process {claim.job.queue}", "consumer", parent=claim.trace, attributes=_told(claim)):
        await _carry_out(runtime, claim, task)


def _told(claim: Claim) -> tracing.Attributes:
    """What the span of an attempt says from its beginning."""
    return {"smartvoice.job": claim.job.id, "smartvoice.queue": claim.job.queue, "smartvoice.attempt": claim.attempt}


async def _carry_out(runtime: Runtime, claim: Claim, task: Task) -> None:
    logger.info("taken")
    try:
        queue = claim.job.queue
        with labelled(JOBS_ACTIVE, queue).track_inprogress(), labelled(JOB_SECONDS, queue).time():
            await _attempt(runtime, claim, task)
    except Refused as refused:
        _tell("left_alone", reason=refused.reason)
        await _tidy(runtime, claim)
    except GaveWay:
        _tell("handed_back", reason="gave_way")
        await _hand_back(runtime, claim)
    except asyncio.CancelledError:
        _tell("handed_back", reason="leaving")
        await _hand_back(runtime, claim)
        raise
    except RedisError as error:
        _tell("handed_back", logging.WARNING, reason=str(error))
        await _hand_back_in_time(runtime, claim)


def _tell(outcome: str, level: int = logging.INFO, **more: Any) -> None:
    """How an attempt ended: in the log and in its span."""
    logger.log(level, outcome, **more)
    tracing.note({"smartvoice.outcome": outcome} | ({"error.type": more["code"]} if "code" in more else {}))


async def _attempt(runtime: Runtime, claim: Claim, task: Task) -> None:
    try:
        made = await _made(runtime, claim, task)
    except (Refused, RedisError, GaveWay):
        raise
    except JobError as raised:
        error = raised
    except Unavailable as raised:
        error = JobError(raised.code, raised.detail, retryable=True, retry_after=raised.retry_after)
    except Problem as raised:
        error = JobError(raised.code, raised.detail)
    except OSError as raised:
        logger.exception("worker_io")
        error = JobError(
            "worker_io", f"A file or a connection of the worker failed: {raised.strerror or raised}", retryable=True
        )
    except Exception:
        # The outermost place of a job: whatever it was, the job must end, and the log must say why.
        logger.exception("job_broke")
        error = JobError("internal_error", "Something went wrong in the worker; its log says what.")
    else:
        await runtime.jobs.complete(claim, made.result, made.records)
        _tell("completed")
        return
    await _give_up(runtime, claim, error)


async def _made(runtime: Runtime, claim: Claim, task: Task) -> Made:
    settings = runtime.settings
    slot = current_slot()
    async with Reporter(runtime.jobs, claim, settings.progress_per_second, slot) as reporter:
        work = task(runtime, claim, reporter)
        return await while_ours(
            runtime.jobs,
            claim,
            work,
            lease=settings.lease_seconds,
            longest=settings.job_hours * 3600,
            slot=slot,
        )


async def _give_up(runtime: Runtime, claim: Claim, error: JobError) -> None:
    """Ends the job, or, where it may go better later, has it tried again."""
    settings = runtime.settings
    if not error.retryable or claim.failures >= settings.max_retries:
        _tell("failed", code=error.code)
        await runtime.jobs.fail(claim, error.code, error.message)
        return
    # Some sooner, some later: what failed together does not come back together.
    pause = settings.retry_seconds * 3**claim.failures * random.uniform(0.5, 1.0)
    pause = min(max(pause, error.retry_after or 0), _LONGEST_PAUSE)
    _tell("retrying", code=error.code, seconds=round(pause, 1), message=error.message)
    await runtime.jobs.retry(claim, pause)


async def _hand_back(runtime: Runtime, claim: Claim) -> None:
    """Lets another worker go on with the job at once; where that cannot be told, its lease runs out."""
    with suppress(Refused, RedisError, OSError):
        await runtime.jobs.hand_back(claim)


async def _hand_back_in_time(runtime: Runtime, claim: Claim) -> None:
    """Hands the job back as soon as Redis can be told; by then another worker may have it."""
    while True:
        try:
            await runtime.jobs.hand_back(claim)
            return
        except Refused:
            return
        except (RedisError, OSError):
            await asyncio.sleep(_REDIS_PAUSE)


async def _tidy(runtime: Runtime, claim: Claim) -> None:
    """What this worker wrote for a project that was deleted meanwhile goes, too."""
    if await runtime.projects.standing(claim.user, claim.job.project_id) != "there":
        await runtime.deletion.remove_files(claim.user, claim.job.project_id)


async def parse_manuscript(runtime: Runtime, claim: Claim, report: Report) -> Made:
    """From the manuscript as it was uploaded to the project's chapters."""
    user, id = claim.user, claim.job.project_id
    project = await runtime.projects.get(user, id)
    settings = runtime.settings
    with workplace() as folder:
        source = folder / "manuscript"
        await runtime.storage.fetch(storage.manuscript_path(user, id), source)
        parsed = await parse(
            source,
            project.format,
            project.title,
            project.language,
            report,
            max_chapters=settings.max_chapters,
            max_characters=settings.max_characters,
            max_chapter_characters=settings.max_chapter_characters,
            bounds=Bounds(settings.max_archive_entries, settings.max_inflated_bytes),
        )
    if parsed.cover:
        await runtime.projects.files.put(user, id, storage.cover_path(user, id), parsed.cover)
    chapters = [ParsedChapter(chapter.title, chapter.text, chapter.confidence) for chapter in parsed.chapters]
    left_out = [{"reason": reason, "characters": count} for reason, count in parsed.left_out.items()]
    records = await runtime.projects.add_chapters(
        claim,
        chapters,
        {
            "title": parsed.title,
            "author": parsed.author,
            "language": _language_of(parsed, project.language),
            "coverType": cover.type_of(parsed.cover),
            "charactersIn": str(parsed.characters_in),
            "charactersSpoken": str(parsed.characters_spoken),
            "leftOut": compact(left_out),
        },
    )
    result = {
        "chapters": len(chapters),
        "characters": parsed.characters,
        "charactersIn": parsed.characters_in,
        "charactersSpoken": parsed.characters_spoken,
        "leftOut": left_out,
    }
    return Made(result, records)


def _language_of(parsed: Parsed, default: Language) -> Language:
    """The one that the manuscript names, if it is one of ours; else the one that it shows."""
    named = parsed.language.lower().partition("-")[0].partition("_")[0]
    if named in {"zh", "en"}:
        return "zh-CN" if named == "zh" else "en"
    return language_of("\n".join(chapter.text[:_LOOK] for chapter in parsed.chapters[:_LOOK_CHAPTERS]), default)


async def narrate_chapter(runtime: Runtime, claim: Claim, report: Report) -> Made:
    """From a chapter's text to its audio."""
    user, id, chapter_id = claim.user, claim.job.project_id, claim.job.chapter_id or ""
    project = await runtime.projects.get(user, id)
    chapter, text, text_digest = await runtime.projects.text(user, id, chapter_id)
    script = Script(
        text=text,
        title=chapter.title,
        album=project.title,
        artist=project.author or _ARTIST,
        track=chapter.position,
        tracks=project.chapter_count,
        language=project.language,
        voice=chapter.voice or project.voice,
        speed=chapter.speed or project.speed,
        dialogue_voice=project.dialogue_voice,
        pronunciations=project.pronunciations,
        take=chapter.take,
        cover=await _cover(runtime, user, project),
        sound=_sound(runtime.settings),
    )
    # In a thread: a voice process may have to be started to tell what it is.
    name = f"{id}-{chapter_id}-{await asyncio.to_thread(digest, script, runtime.engine)}"

    async def save(file: Path, report: dict[str, Any]) -> None:
        # The report first: there is no audio without one.
        files = runtime.projects.files
        await files.put(user, id, storage.report_path(user, name), compact(report).encode())
        await files.put(user, id, storage.audio_path(user, name), file, "audio/mpeg")

    # Before anything is voiced, which may cost money.
    await runtime.projects.usage.check(user, _expected_bytes(chapter, project, runtime.settings))
    kept = ProjectSegments(runtime.storage, user, id, runtime.projects.usage)
    seconds = round(await narrate(script, runtime.engine, kept, save, report), 3)
    return Made(
        {"audioUrl": audio_url(name), "durationSeconds": seconds},
        audio_record(user, chapter_id, name, seconds, text_digest, ways_of(project, chapter)),
    )


def _expected_bytes(chapter: Chapter, project: Project, settings: Settings) -> int:
    """About how large a chapter's audio will be."""
    expected = estimate(chapter.characters, project.language, settings, chapter.speed or project.speed)
    return int(expected.seconds * settings.audio_kilobits * 1000 / 8)


def _sound(settings: Settings) -> Sound:
    """How this installation's audio sounds."""
    encoding = Encoding(
        sample_rate=settings.audio_sample_rate,
        bit_rate=settings.audio_kilobits * 1000,
        variable=settings.audio_mode == "vbr",
    )
    pauses = Pauses(
        sentence=settings.pause_sentence,
        paragraph=settings.pause_paragraph,
        heading=settings.pause_heading,
        scene=settings.pause_scene,
    )
    return Sound(Level(settings.loudness, settings.true_peak), encoding, pauses)


async def _cover(runtime: Runtime, user: str, project: Project) -> Cover | None:
    """The cover that the manuscript had, if it is one that players can show."""
    if not project.cover_type:
        return None
    try:
        data = await runtime.storage.get(storage.cover_path(user, project.id))
    except NotFound:
        return None
    return await asyncio.to_thread(Cover.of, data, project.cover_type)


async def assemble_book(runtime: Runtime, claim: Claim, report: Report) -> Made:
    """From the audio of a project's chapters to a book; one of the same contents that is there already is taken."""
    user, id, format = claim.user, claim.job.project_id, claim.job.format or "m4b"
    project, record = await runtime.projects.with_record(user, id)
    chapters = await runtime.projects.chapters(user, id)
    there = books.having_audio(chapters)
    if not there:
        raise JobError("chapters_lack_audio", "No chapter has audio yet.")
    name = books.name_of(project, chapters)
    path = storage.book_path(user, name, format)
    await _clear_away(runtime, claim, {path, *_recorded(user, record)})
    try:
        size, _ = await runtime.storage.size(path)
    except NotFound:
        tracks = [
            Track(one.position, one.title, PurePosixPath(one.audio_url or "").stem, one.duration_seconds or 0)
            for one in there
        ]
        edition = Edition(format, project.title, project.author, project.language, project.cover_type, tracks)
        shelf = ProjectShelf(runtime.projects.files, user, id, name, format)
        size = await assemble(edition, shelf, report)
    result = books.result_of(name, format, size, chapters)
    return Made(result, books.record(user, id, format, result))


def _recorded(user: str, record: Mapping[str, str]) -> list[str]:
    """The paths of the books that a project has."""
    names = [(PurePosixPath(book.download_url).stem, book.format) for book in books.books_of(record, "")]
    return [storage.book_path(user, name, format) for name, format in names]


async def _clear_away(runtime: Runtime, claim: Claim, wanted: Collection[str]) -> None:
    """Deletes books that nothing names any more. The one before goes with the next, so that it is there until then."""
    prefix = storage.books_prefix(claim.user, claim.job.project_id)
    found = [file async for file in runtime.storage.files(prefix) if file.path not in wanted]
    await runtime.projects.files.delete(claim.user, claim.job.project_id, found)
