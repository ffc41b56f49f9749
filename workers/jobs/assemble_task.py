"""A job of `book-assembly`: from the audio of a project's chapters to a book."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from app.core.errors import JobError, NotFound
from app.core.jobs.service import Claim
from app.core.projects import books
from app.core.storage import paths
from workers.book.assembly import Edition, Track, assemble
from workers.book.book_storage import ProjectBookStorage
from workers.core.report import ProgressCallback
from workers.jobs.tasks import Made
from workers.runtime.context import Runtime


async def assemble_book(runtime: Runtime, claim: Claim, report: ProgressCallback) -> Made:
    """Make a book of a project's chapters; a book of the same contents that exists already is used."""
    user, id, format = claim.user, claim.job.project_id, claim.job.format or "m4b"
    project, record = await runtime.projects.with_record(user, id)
    chapters = await runtime.projects.chapters(user, id)
    there = books.having_audio(chapters)
    if not there:
        raise JobError("chapters_lack_audio", "No chapter has audio yet.")
    name = books.name_of(project, chapters)
    path = paths.book_path(user, name, format)
    await _clear_away(runtime, claim, {path, *_recorded(user, record)})
    try:
        size, _ = await runtime.storage.size(path)
    except NotFound:
        tracks = [
            Track(one.position, one.title, PurePosixPath(one.audio_url or "").stem, one.duration_seconds or 0)
            for one in there
        ]
        edition = Edition(format, project.title, project.author, project.language, project.cover_type, tracks)
        shelf = ProjectBookStorage(runtime.projects.files, user, id, name, format)
        size = await assemble(edition, shelf, report)
    result = books.result_of(name, format, size, chapters)
    return Made(result, books.record(user, id, format, result))


def _recorded(user: str, record: Mapping[str, str]) -> list[str]:
    """Return the paths of a project's books."""
    names = [(PurePosixPath(book.download_url).stem, book.format) for book in books.books_of(record, "")]
    return [paths.book_path(user, name, format) for name, format in names]


async def _clear_away(runtime: Runtime, claim: Claim, wanted: Collection[str]) -> None:
    """Delete books that no record names any more. A replaced book is deleted with the next one, so that it lasts until
    then."""
    prefix = paths.books_prefix(claim.user, claim.job.project_id)
    found = [file async for file in runtime.storage.files(prefix) if file.path not in wanted]
    await runtime.projects.files.delete(claim.user, claim.job.project_id, found)
