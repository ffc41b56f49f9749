"""`smartvoice narrate`: a manuscript in, mp3s and a book out, with whatever was there already left as it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.cli.job_tracker import Tracked, Tracker
from app.cli.narrate_notes import NOTES, Notes, name_of
from app.cli.progress_display import ProgressDisplay
from app.client.api import SmartVoice
from app.client.errors import ApiError, ClientError
from app.client.events import Event
from app.core.jobs.models import Job
from app.core.projects.models import Chapter
from app.core.storage.filenames import safe
from app.core.vocabulary import BookFormat

_CANCEL_SECONDS = 10.0
_DOWNLOADS = 2


class Failed(Exception):
    """It cannot be done; the message says why, and what to do."""


@dataclass(frozen=True)
class NarrateOptions:
    """What is wanted of a manuscript: `chapters` by their positions, all where it is None."""

    manuscript: Path
    out: Path
    voice: str | None = None
    language: str | None = None
    book: BookFormat | None = None
    chapters: frozenset[int] | None = None


async def narrate(client: SmartVoice, server: str, projects: Notes, wish: NarrateOptions, show: ProgressDisplay) -> int:
    """Does it; 0 where all is there, 1 where chapters or the book failed. Raises Failed, ClientError.

    Cancelled, it calls off what it started.
    """
    return await _Narration(client, wish, show).run(await _project(client, server, projects, wish, show))


async def _project(
    client: SmartVoice, server: str, projects: Notes, wish: NarrateOptions, show: ProgressDisplay
) -> tuple[dict[str, Any], bool]:
    """The project of the manuscript: the one of an earlier run, else a new one; and whether its voice was changed."""
    user = await client.who()
    name = await asyncio.to_thread(name_of, server, user, wish.manuscript)
    said = {key: value for key, value in (("voice", wish.voice), ("language", wish.language)) if value}
    if known := projects.get(name):
        try:
            project = await client.project(known)
        except ApiError as error:
            if error.status != 404:
                raise
        else:
            if not _lost(project):
                show.say(f"Going on with “{project['title']}”.")
                other = {key: value for key, value in said.items() if project[key] != value}
                if other:
                    await client.change(known, other)
                return project, bool(other)
    created = await client.create(wish.manuscript, said)
    projects.put(name, created["id"])
    show.say(f"Reading “{created['title']}”.")
    return await client.project(created["id"]), False


def _lost(project: dict[str, Any]) -> bool:
    """Whether its manuscript was not read to the end, so that it is of no use."""
    job = project["job"]
    return job is not None and job["state"] in {"failed", "cancelled"}


class _Narration:
    """One run."""

    def __init__(self, client: SmartVoice, wish: NarrateOptions, show: ProgressDisplay) -> None:
        self._client = client
        self._wish = wish
        self._show = show
        self._tracker = Tracker()
        self._files = Notes(wish.out / NOTES)
        self._titles: dict[str, str] = {}
        self._sizes: dict[str, int] = {}
        self._there = 0

    async def run(self, found: tuple[dict[str, Any], bool]) -> int:
        project, again = found
        events = self._client.follow(project["cursor"], project["id"]).events()
        try:
            async with aclosing(events):
                project = await self._parsed(project, events)
                chapters = self._chosen(project)
                failed = await self._voiced(project, chapters, events, again)
                saved = await self._save_chapters(project["id"], chapters)
                if self._wish.book:
                    failed += await self._book(project["id"], events)
        except asyncio.CancelledError:
            await self._call_off()
            raise
        if saved < len(chapters) or failed:
            self._show.say("Not all of it could be done; run the same command again to go on.")
            return 1
        return 0

    async def _parsed(self, project: dict[str, Any], events: AsyncGenerator[Event]) -> dict[str, Any]:
        if project["job"] is None or project["job"]["state"] == "completed":
            return project
        [job] = await self._ended([Job.model_validate(project["job"])], events)
        if job.state != "completed":
            raise Failed(f"The manuscript cannot be read: {job.error.message if job.error else job.state}.")
        return await self._client.project(project["id"])

    def _chosen(self, project: dict[str, Any]) -> list[Chapter]:
        chapters = [Chapter.model_validate(chapter) for chapter in project["chapters"]]
        wanted = self._wish.chapters
        chosen = [chapter for chapter in chapters if wanted is None or chapter.position in wanted]
        if not chosen:
            raise Failed(f"There is no such chapter; there are {len(chapters)}.")
        self._titles = {chapter.id: chapter.title for chapter in chosen}
        self._sizes = {chapter.id: max(chapter.characters, 1) for chapter in chosen}
        return chosen

    async def _voiced(
        self, project: dict[str, Any], chapters: list[Chapter], events: AsyncGenerator[Event], again: bool
    ) -> int:
        """Has what lacks audio read aloud; how many failed."""
        lacking = [one for one in chapters if again or one.audio_url is None or one.outdated]
        self._there = sum(self._sizes[one.id] for one in chapters) - sum(self._sizes[one.id] for one in lacking)
        count = len(chapters)
        self._show.say(f"{count} chapters, {count - len(lacking)} of them have audio already.")
        jobs = [await self._client.narrate(project["id"], one.id) for one in lacking]
        ended = await self._ended(jobs, events, lambda: self._overall(count, len(lacking)))
        return sum(one.state != "completed" for one in ended)

    def _overall(self, count: int, lacking: int) -> None:
        jobs = [one for one in self._tracker.all() if one.job.chapter_id in self._sizes]
        shares = (self._sizes[one.job.chapter_id or ""] * _share(one) for one in jobs)
        done = count - lacking + sum(one.state != "open" for one in jobs)
        self._show.overall((self._there + sum(shares)) / sum(self._sizes.values()), done, count)

    async def _book(self, project: str, events: AsyncGenerator[Event]) -> int:
        """Has the book put together, and saves it; how many failed, 0 or 1."""
        wish = self._wish
        assert wish.book
        # Who wants some chapters wants a book of those that there are.
        some = wish.chapters is not None
        try:
            job = await self._client.book(project, wish.book, allow_missing=some)
        except ApiError as error:
            if error.code != "chapters_lack_audio":
                raise
            self._show.say(error.detail)
            return 1
        [ended] = await self._ended([job], events)
        if ended.state != "completed" or ended.result is None:
            return 1
        title = (await self._client.project(project))["title"]
        self._show.file(str(await self._save(ended.result["downloadUrl"], f"{safe(title, 'book')}.{wish.book}")))
        return 0

    async def _ended(
        self, jobs: list[Job], events: AsyncGenerator[Event], look: Callable[[], None] = lambda: None
    ) -> list[Tracked]:
        """The jobs once all of them have ended."""
        self._tracker.add(*jobs)
        wanted = {job.id for job in jobs}
        while any(one.job.id in wanted for one in self._tracker.open()):
            event = await anext(events)
            self._show.event(event)
            for changed in self._tracker.hear(event):
                self._show.job(self._titles.get(changed.job.chapter_id or "", _WORDS[changed.job.queue]), changed)
            look()
        return [one for one in self._tracker.all() if one.job.id in wanted]

    async def _save_chapters(self, project: str, chapters: list[Chapter]) -> int:
        """Saves the audio that there is, where it is not saved yet; how many chapters have it."""
        wanted = {chapter.id for chapter in chapters}
        snapshot = await self._client.project(project)
        found = [Chapter.model_validate(one) for one in snapshot["chapters"] if one["id"] in wanted]
        digits = max(2, len(str(len(snapshot["chapters"]))))
        saving: list[Coroutine[Any, Any, Path]] = [
            self._save(one.audio_url, f"{one.position:0{digits}} - {safe(one.title, 'chapter')}.mp3")
            for one in found
            if one.audio_url
        ]
        limit = asyncio.Semaphore(_DOWNLOADS)

        async def limited(work: Coroutine[Any, Any, Path]) -> Path:
            async with limit:
                return await work

        # Told in the order of the book, whichever came first: a list of them is one to play.
        for saved in await asyncio.gather(*map(limited, saving)):
            self._show.file(str(saved))
        return len(saving)

    async def _save(self, url: str, name: str) -> Path:
        target = self._wish.out / name
        if self._files.get(name) != url or not target.exists():
            await self._client.download(url, target)
            self._files.put(name, url)
        return target

    async def _call_off(self) -> None:
        open = [one.job for one in self._tracker.open()]
        self._show.say(f"Calling off {len(open)} jobs …" if open else "Stopping …")
        with contextlib.suppress(ClientError, TimeoutError):
            async with asyncio.timeout(_CANCEL_SECONDS):
                # From the last: else what is freed by a cancelled one begins just to be cancelled.
                for job in reversed(open):
                    await self._client.cancel(job)


_WORDS = {"text-parsing": "Manuscript", "audio-generation": "Chapter", "book-assembly": "Book"}


def _share(one: Tracked) -> float:
    return 1.0 if one.state != "open" else one.progress.percentage / 100
