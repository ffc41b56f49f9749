"""Projects and their chapters: hashes beside the log, texts and audio in the storage."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Any, BinaryIO, Literal, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.errors import Conflict, NotFound, Refused, TooMany, Unavailable
from app.core.ids import new_id
from app.core.jobs.models import Job
from app.core.jobs.service import Claim, JobRequest, Jobs
from app.core.json_model import compact
from app.core.projects import split_merge
from app.core.projects.chapter_limits import ChapterStore
from app.core.projects.counted_files import CountedFiles, size_of
from app.core.projects.deletion import ProjectDeletion
from app.core.projects.models import Chapter, Project
from app.core.projects.quotas import Quotas
from app.core.projects.text_lengths import MAX_AUTHOR, MAX_TITLE, shortened
from app.core.redis import keys
from app.core.redis.client import decoded, fields, names
from app.core.settings import Settings
from app.core.storage import paths
from app.core.storage.object_store import Storage
from app.core.timestamps import now
from app.core.vocabulary import PARSING, Language

_ADD_CHAPTERS = files("app.core.projects").joinpath("lua/add_chapters.lua").read_text()
_BATCH = 100
_SAYABLE = {"title", "language"}
_MAX_LENGTH = {"title": MAX_TITLE, "author": MAX_AUTHOR}


class UploadedManuscript(NamedTuple):
    """A manuscript as it was handed in: its bytes or an open file, format (`txt`, …), and what was said of it.

    `unsaid`: which of `title` and `language` were not, so that the manuscript's own take their place.
    """

    content: bytes | BinaryIO
    format: str
    title: str
    language: Language
    voice: str | None = None
    unsaid: tuple[str, ...] = ()


class ParsedChapter(NamedTuple):
    """A chapter as the parser found it."""

    title: str
    text: str
    confidence: str = "high"


class Projects:
    """All users' projects. Whatever is not the user's own is NotFound."""

    def __init__(self, redis: Redis, store: Storage, jobs: Jobs, settings: Settings) -> None:
        self._redis = redis
        self._store = store
        self._jobs = jobs
        self._settings = settings
        self.usage = Quotas(redis, settings)
        self.files = CountedFiles(store, self.usage)
        self._deletion = ProjectDeletion(redis, store, jobs, settings)
        self._changing = ChapterStore(redis, settings)
        self._rearranging = split_merge.SplitMerge(redis, jobs.log, settings)
        self._add_chapters = redis.register_script(_ADD_CHAPTERS)

    async def create(self, user: str, manuscript: UploadedManuscript) -> tuple[Project, Job]:
        """Stores a manuscript and starts its parsing.

        Raises TooMany (`too_many_projects`, `storage_full`, `too_many_jobs`), Unavailable; RedisError.
        """
        project, size = _fresh(manuscript), size_of(manuscript.content)
        async with self.usage.room(user, projects=1, bytes=size) as room:
            try:
                await self._store.put(paths.manuscript_path(user, project.id), manuscript.content)
                record = _record(project) | {"unsaid": " ".join(manuscript.unsaid)}
                await room.create(project.id, record, int(time.time() * 1000), size)
                job = await self._begin(user, project)
            except BaseException:
                await asyncio.shield(self._store.delete_all(paths.project_prefix(user, project.id)))
                raise
        return project, job

    async def _begin(self, user: str, project: Project) -> Job:
        """The parse job comes last: a snapshot whose cursor is past the job's event has the job."""
        try:
            job, _ = await self._jobs.create(user, JobRequest(PARSING, project.id, project.language))
        except (TooMany, RedisError, OSError):
            # Nothing half-made stays, as far as Redis can be told.
            with suppress(RedisError, OSError):
                await self._redis.zrem(keys.projects(user), project.id)
                await self._redis.delete(keys.project(user, project.id))
                await self.usage.forget(user, project.id)
            raise
        return job

    async def all(self, user: str) -> list[Project]:
        """The user's projects, newest first."""
        return await self.some(user, await self.ids(user))

    async def ids(self, user: str) -> list[str]:
        """The ids of the user's projects, newest first."""
        return names(await self._redis.zrange(keys.projects(user), 0, -1, desc=True))

    async def some(self, user: str, ids: Sequence[str]) -> list[Project]:
        """Those of these projects that are there."""
        records = await self._hashes([keys.project(user, id) for id in ids])
        return [Project.from_record(record) for record in records if record]

    async def get(self, user: str, project: str) -> Project:
        return (await self.with_record(user, project))[0]

    async def with_record(self, user: str, project: str) -> tuple[Project, dict[str, str]]:
        """A project, and all that its hash says: also the books made of it (see `app.core.projects.books`)."""
        record = decoded(await self._redis.hgetall(keys.project(user, project)))
        if not record:
            raise NotFound("There is no such project.")
        return Project.from_record(record), record

    async def standing(self, user: str, project: str) -> Literal["there", "deleted", "unknown"]:
        """Whether the user has such a project, or had it of late."""
        there, deleted = await self._exist(keys.project(user, project), keys.deleted(user, project))
        return "there" if there else "deleted" if deleted else "unknown"

    async def change(self, user: str, project: str, changes: Mapping[str, Any]) -> Project:
        """Sets fields (`title`, `voice`, `language`, `speed`, `dialogueVoice`, `pronunciations`) of a project."""
        await self.get(user, project)
        said = {name: _field(value) for name, value in changes.items()}
        said |= {"unsaid": "", "updatedAt": now()}
        await self._redis.hset(keys.project(user, project), mapping=fields(said))
        return await self.get(user, project)

    async def delete(self, user: str, project: str) -> None:
        """Ends what runs for the project, and deletes it with all its files."""
        await self.get(user, project)
        await self._deletion.delete(user, project)

    async def chapters(self, user: str, project: str) -> list[Chapter]:
        """The chapters of a project in their order."""
        whole = decoded(await self._redis.hgetall(keys.project(user, project)))
        owner = Project.from_record(whole) if whole else None
        return await self.some_chapters(user, await self.chapter_ids(user, project), owner)

    async def chapter_ids(self, user: str, project: str) -> list[str]:
        """The ids of a project's chapters in their order."""
        return names(await self._redis.zrange(keys.chapters(user, project), 0, -1))

    async def some_chapters(
        self, user: str, ids: Sequence[str], owner: Project | None, *, before: int = 0
    ) -> list[Chapter]:
        """Those of these chapters of the project `owner` that are there; `before`: how many come before them."""
        records = await self._hashes([keys.chapter(user, id) for id in ids])
        there = (record for record in records if record)
        return [
            Chapter.from_record({**record, "position": str(place)}, owner)
            for place, record in enumerate(there, before + 1)
        ]

    async def chapter(self, user: str, project: str, chapter: str) -> Chapter:
        record = await self._chapter(user, project, chapter)
        return Chapter.from_record(record, await self.get(user, project))

    async def text(self, user: str, project: str, chapter: str) -> tuple[Chapter, str, str]:
        """A chapter, its text, and the digest that names this text."""
        while True:
            record = await self._chapter(user, project, chapter)
            owner = await self.get(user, project)
            try:
                return Chapter.from_record(record, owner), await self._text(user, record), record["text"]
            except NotFound:
                # A text that was replaced in this moment may be swept in the next; the record names the new one then.
                if (await self._chapter(user, project, chapter))["text"] == record["text"]:
                    raise

    async def change_chapter(
        self, user: str, project: str, chapter: str, changes: Mapping[str, str], *, text: str | None = None
    ) -> Chapter:
        """Sets fields (`title`, `voice`, `speed`) of a chapter, its text, or both. Raises what `ChapterStore` does."""
        before = await self._chapter(user, project, chapter)
        changes = dict(changes)
        if text is not None:
            self._changing.check_length(text, int(before["characters"]))
            changes |= await self._store_text(user, project, chapter, text)
        if changes:
            await self._changing.change(user, project, chapter, changes)
        return await self.chapter(user, project, chapter)

    async def split_chapter(
        self, user: str, project: str, chapter: str, offset: int, *, id: str | None = None
    ) -> tuple[Chapter, Chapter]:
        """Splits a chapter at the line that holds the character number `offset` of its text; both halves.

        `id` is the one that the second half is to have: who asks again with it gets the same split. Audio that the
        chapter has stays with the first half, and is outdated. Raises NotFound; Conflict (`chapter_busy`,
        `chapter_changed`, `nothing_to_split`), Unprocessable (`too_many_chapters`), Unavailable.
        """
        new = id or new_id()
        if not id or not await self._redis.exists(keys.chapter(user, new)):
            before = await self._chapter(user, project, chapter)
            found = split_merge.halves(await self._text(user, before), before["title"], offset)
            first = await self._store_text(user, project, chapter, found.first)
            second = {"id": new, "projectId": project, "title": found.title, "confidence": "high"}
            second |= {name: before[name] for name in ("voice", "speed") if before.get(name)}
            # The order is that of the project's chapters; earlier versions, side by side with this one, look here.
            second["position"] = str(int(before["position"]) + 1)
            second |= await self._store_text(user, project, new, found.second)
            async with self.usage.room(user, chapters=1) as room:
                await self._rearranging.split(user, before, first, second)
                await room.settle(project, chapters=1)
        return await self.chapter(user, project, chapter), await self.chapter(user, project, new)

    async def merge_chapter(self, user: str, project: str, chapter: str) -> Chapter:
        """Merges a chapter with the one before it, which stays, and is returned; its audio is outdated then.

        The title of the other becomes a line of the text. Raises NotFound; Conflict (`chapter_busy`,
        `chapter_changed`, `nothing_to_merge`), Unprocessable (`chapter_too_long`, `too_many_characters`), Unavailable.
        """
        gone = await self._chapter(user, project, chapter)
        place = int(gone["position"]) - 2
        if place < 0:
            raise Conflict("There is no chapter before this one.", code="nothing_to_merge")
        [id] = names(await self._redis.zrange(keys.chapters(user, project), place, place))
        before = await self._chapter(user, project, id)
        texts = [
            await self._store.get(paths.text_path(user, project, one["id"], one["text"])) for one in (before, gone)
        ]
        text = split_merge.together(texts[0].decode(), before["title"], gone["title"], texts[1].decode())
        self._changing.check_length(text)
        await self._rearranging.merge(user, before, gone, await self._store_text(user, project, id, text))
        await self.usage.add(user, project, chapters=-1)
        if gone.get("audio"):
            # Nothing names it any more; where this fails it goes with the project.
            with suppress(Unavailable):
                of_audio = (paths.audio_path, paths.report_path)
                await self._store.delete([path(user, gone["audio"]) for path in of_audio])
        return await self.chapter(user, project, id)

    async def next_take(self, user: str, project: str, chapter: str) -> None:
        """From now on the chapter's audio is outdated: some of it is to be said anew."""
        await self._chapter(user, project, chapter)
        await self._redis.hincrby(keys.chapter(user, chapter), "take", 1)

    async def report(self, user: str, project: str, chapter: str) -> dict[str, Any]:
        """The completeness report of the chapter's audio, as `workers.speech.completeness` wrote it.

        Raises NotFound where there is none, Unavailable.
        """
        record = await self._chapter(user, project, chapter)
        if not (name := record.get("audio")):
            raise NotFound("There is no audio of this chapter yet.")
        report: dict[str, Any] = json.loads(await self._store.get(paths.report_path(user, name)))
        return report

    async def add_chapters(
        self, claim: Claim, parsed: Sequence[ParsedChapter], found: Mapping[str, str] | None = None
    ) -> dict[str, dict[str, str]]:
        """Stores the chapters that a parser found, and returns what is to change with the end of its job.

        `found` is what else it found, as fields of the project; a title and a language are the project's only where
        nobody said one. Ids follow from project and position, so that a parser that is run again writes the same
        chapters again. Raises Refused: `gone` where the project is, `stale` where the job is no longer this parser's;
        TooMany (`too_many_chapters_in_all`, `storage_full`).
        """
        user, project = claim.user, claim.job.project_id
        size = sum(len(one.text.encode()) for one in parsed)
        async with self.usage.room(user, chapters=len(parsed), bytes=size) as room:
            records = await self._write_chapters(claim, parsed, found or {})
            await room.exact(project, chapters=len(parsed), bytes=await self.files.measure(user, project))
        return records

    async def _write_chapters(
        self, claim: Claim, parsed: Sequence[ParsedChapter], found: Mapping[str, str]
    ) -> dict[str, dict[str, str]]:
        user, project = claim.user, claim.job.project_id
        ids = [keys.digest(f"{project}/{position}")[:20] for position in range(1, len(parsed) + 1)]
        texts = [await self._put_text(user, project, id, one.text) for id, one in zip(ids, parsed, strict=True)]
        records = [
            {
                "id": id,
                "projectId": project,
                "position": str(position),
                "title": shortened(one.title),
                "confidence": one.confidence,
                **stored,
            }
            for position, (id, one, stored) in enumerate(zip(ids, parsed, texts, strict=True), 1)
        ]
        for start in range(0, len(records), _BATCH):
            await self._add(claim, records[start : start + _BATCH])
        totals = {"chapterCount": str(len(parsed)), "characters": str(sum(len(found.text) for found in parsed))}
        unsaid = decoded(await self._redis.hgetall(keys.project(user, project))).get("unsaid", "").split()
        told = {**found}
        told |= {name: shortened(told[name], most) for name, most in _MAX_LENGTH.items() if name in told}
        own = {name: said for name, said in told.items() if name not in _SAYABLE or name in unsaid}
        return {keys.project(user, project): own | totals | {"updatedAt": now()}}

    async def _add(self, claim: Claim, records: Sequence[Mapping[str, str]]) -> None:
        user, project = claim.user, claim.job.project_id
        fixed = [keys.project(user, project), keys.job(user, claim.job.id), keys.chapters(user, project)]
        chapters = [keys.chapter(user, record["id"]) for record in records]
        told: list[str | int] = [claim.attempt]
        for record in records:
            told += [
                record["id"],
                record["position"],
                len(record) * 2,
                *(item for pair in record.items() for item in pair),
            ]
        answer = await self._add_chapters(keys=[*fixed, *chapters], args=told)
        if answer != b"ok":
            raise Refused(answer.decode())

    async def _store_text(self, user: str, project: str, chapter: str, text: str) -> dict[str, str]:
        digest = _digest(text)
        await self.files.put(user, project, paths.text_path(user, project, chapter, digest), text.encode())
        return {"text": digest, "characters": str(len(text))}

    async def _put_text(self, user: str, project: str, chapter: str, text: str) -> dict[str, str]:
        """The same for a text whose bytes are counted with others'."""
        digest = _digest(text)
        await self._store.put(paths.text_path(user, project, chapter, digest), text.encode())
        return {"text": digest, "characters": str(len(text))}

    async def _text(self, user: str, record: Mapping[str, str]) -> str:
        path = paths.text_path(user, record["projectId"], record["id"], record["text"])
        return (await self._store.get(path)).decode()

    async def _chapter(self, user: str, project: str, chapter: str) -> dict[str, str]:
        record = decoded(await self._redis.hgetall(keys.chapter(user, chapter)))
        place = await self._redis.zrank(keys.chapters(user, project), chapter)
        if not record or record["projectId"] != project or not isinstance(place, int):
            raise NotFound("There is no such chapter.")
        return {**record, "position": str(place + 1)}

    async def _exist(self, *names: str) -> list[bool]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.exists(name)
            return [bool(found) for found in await pipe.execute()]

    async def _hashes(self, names: Sequence[str]) -> list[dict[str, str]]:
        if not names:
            return []
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(name)
            found: list[dict[bytes, bytes]] = await pipe.execute()
        return [decoded(record) for record in found]


def audio_record(
    user: str, chapter: str, name: str, seconds: float, text: str, ways: str = ""
) -> dict[str, dict[str, str]]:
    """What changes in a chapter when its audio `name`, made from the text with digest `text` in `ways`, is there."""
    told = {"audio": name, "durationSeconds": f"{seconds:.3f}", "audioText": text, "audioWays": ways}
    return {keys.chapter(user, chapter): told}


def _digest(text: str) -> str:
    """What names a chapter's text."""
    return keys.digest(text)[:20]


def _fresh(manuscript: UploadedManuscript) -> Project:
    at = now()
    return Project(
        id=new_id(),
        title=manuscript.title,
        language=manuscript.language,
        voice=manuscript.voice,
        format=manuscript.format,
        characters=0,
        chapter_count=0,
        created_at=at,
        updated_at=at,
    )


def _record(project: Project) -> dict[str, str]:
    values: dict[str, Any] = project.json_dict()
    return {name: _field(value) for name, value in values.items()}


def _field(value: Any) -> str:
    """A value as a field of a hash."""
    if value is None:
        return ""
    return compact(value) if isinstance(value, list | dict) else str(value)
