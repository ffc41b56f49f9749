"""What a manuscript says of itself becomes the project's, where nobody said otherwise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from app.core.eventlog.log import EventLog
from app.core.jobs.broker import WorkQueue
from app.core.jobs.models import Job
from app.core.jobs.service import Jobs
from app.core.projects.deletion import ProjectDeletion
from app.core.projects.models import Project
from app.core.projects.service import ParsedChapter, Projects, UploadedManuscript
from app.core.projects.text_lengths import MAX_AUTHOR, MAX_TITLE
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from app.core.storage.paths import cover_path
from app.core.vocabulary import PARSING, Language
from tests.manuscripts.books import BOOKS, picture
from tests.support import NoDispatcher
from workers.engines.espeak import Espeak
from workers.jobs import parse_task, tasks
from workers.runtime.context import Runtime

Parse = Callable[[str, UploadedManuscript], Awaitable[tuple[Project, Job]]]


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return Storage(settings.storage)


@pytest.fixture
def parse(settings: Settings, redis: Redis, storage: Storage) -> Parse:
    """Creates alice's project from a manuscript and does its parse job."""
    jobs = Jobs(redis, EventLog(redis, settings), settings, NoDispatcher())
    projects = Projects(redis, storage, jobs, settings)
    queue = WorkQueue(settings.queue)
    deletion = ProjectDeletion(redis, storage, jobs, settings)
    runtime = Runtime(settings, redis, storage, jobs, projects, deletion, queue, Espeak())

    async def parse(what: str, manuscript: UploadedManuscript) -> tuple[Project, Job]:
        name, build = BOOKS[what]
        format = name.rpartition(".")[2]
        project, job = await projects.create("alice", manuscript._replace(content=build(), format=format))
        await tasks.carry_out(runtime, "alice", job.id, "read", parse_task.parse_manuscript)
        await queue.aclose()
        return await projects.get("alice", project.id), await jobs.get("alice", PARSING, job.id)

    return parse


def said(title: str, language: Language, *unsaid: str) -> UploadedManuscript:
    return UploadedManuscript(b"", "", title, language, unsaid=unsaid)


async def test_book_gives_its_title_author_language_cover_and_counts(parse: Parse, storage: Storage) -> None:
    project, job = await parse("epub NCX alone", said("file", "en", "title", "language"))
    assert (project.title, project.author, project.language) == ("井与绳", "何水", "zh-CN")
    assert project.cover_type == "image/png"
    assert await storage.get(cover_path("alice", project.id)) == picture()
    assert job.result is not None
    left_out = [one.json_dict() for one in project.left_out]
    assert job.result == {
        "chapters": 3,
        "characters": project.characters,
        "charactersIn": project.characters_in,
        "charactersSpoken": project.characters_spoken,
        "leftOut": left_out,
    }
    assert project.characters_in == project.characters_spoken + sum(one.characters for one in project.left_out)


async def test_what_was_said_stays(parse: Parse) -> None:
    project, _ = await parse("epub NCX alone", said("My name for it", "en"))
    assert (project.title, project.language) == ("My name for it", "en")


async def test_language_that_a_book_does_not_name_is_the_one_it_shows(parse: Parse) -> None:
    project, _ = await parse("docx without styles", said("集市", "en", "language"))
    assert project.language == "zh-CN"


async def test_parser_that_finds_longer_titles_than_there_may_be_stores_shorter_ones(
    projects: Projects, jobs: Jobs
) -> None:
    project, job = await projects.create("alice", UploadedManuscript(b"x", "txt", "A book", "en", unsaid=("title",)))
    claim = await jobs.claim("alice", job.id, "read")
    found = {"title": "t" * 5000, "author": "a" * 5000}
    records = await projects.add_chapters(claim, [ParsedChapter("c" * 5000, "Text.")], found)
    await jobs.complete(claim, {"chapters": 1, "characters": 5}, records)
    stored = await projects.get("alice", project.id)
    [chapter] = await projects.chapters("alice", project.id)
    assert [len(stored.title), len(stored.author), len(chapter.title)] == [MAX_TITLE, MAX_AUTHOR, MAX_TITLE]
