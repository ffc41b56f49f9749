"""`/api/projects/{project}/book` and `/books/…`: the chapters put together into one file, and that file."""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from app.auth.identity import identity_of
from app.core.errors import Conflict, NotFound
from app.core.jobs.models import Job
from app.core.jobs.service import JobRequest
from app.core.projects.models import Chapter
from app.core.storage import paths
from app.core.vocabulary import ASSEMBLY, BookFormat, Language
from app.endpoints import file_responses
from app.endpoints.idempotency import id_of, once
from app.endpoints.request_body import Body, read_json
from app.http.responses import reply
from app.openapi.operation import Answer, Operation, Operations, Parameter
from app.openapi.parameters import IDEMPOTENCY_KEY, RETRY_AFTER, location
from app.state import State

_NAME = re.compile(r"[0-9a-f]{20}-[0-9a-f]{20}")
_KINDS: dict[BookFormat, str] = {"m4b": "audio/mp4", "zip": "application/zip"}
_UNSAFE = re.compile(r"[^ !#-.0-9:;=@-\[\]-~]")  # what a quoted file name of plain ASCII does without
_MAX_FILENAME = 100


class NewBook(Body):
    """The book that is wanted: `m4b` is one file with chapter marks, `zip` the mp3s in folders. With `allowMissing`
    chapters that lack audio are left out; else there is no book as long as there are such."""

    format: BookFormat
    allow_missing: bool = False
    language: Language | None = None


async def start(request: Request[State]) -> Response:
    """202 with the job; while one is open for the project, that one."""
    user, project = identity_of(request).user, request.path_params["project"]
    asked = await read_json(request, NewBook)

    async def begin() -> Response:
        found = await request.state["projects"].get(user, project)
        chapters = await request.state["projects"].chapters(user, project)
        _check(chapters, asked)
        order = JobRequest(
            ASSEMBLY, project, asked.language or found.language, None, id_of(request, "book"), asked.format
        )
        job, _ = await request.state["jobs"].create(user, order)
        if job.format != asked.format:
            raise Conflict(
                "The book is being put together in another format; wait for that, or cancel it.",
                code="other_book_in_progress",
                retry_after=10,
            )
        return reply(job.json_dict(), 202, {"Location": f"/api/jobs/{job.queue}/{job.id}", "Retry-After": "1"})

    return await once(request, asked.model_dump_json(), begin)


async def m4b(request: Request[State]) -> Response:
    return await _book(request, "m4b")


async def zip(request: Request[State]) -> Response:
    return await _book(request, "zip")


async def _book(request: Request[State], format: BookFormat) -> Response:
    user, name = identity_of(request).user, request.path_params["book"]
    if not _NAME.fullmatch(name):
        raise NotFound("There is no such book.")
    project = await request.state["projects"].get(user, name.partition("-")[0])
    more = {"Content-Disposition": disposition(f"{project.title}.{format}")}
    return await file_responses.send(request, paths.book_path(user, name, format), _KINDS[format], more)


def disposition(filename: str) -> str:
    """The header that has a file saved under this name (RFC 6266): whole, and in ASCII for who knows no better."""
    stem, _, suffix = filename.rpartition(".")
    # Half of a surrogate pair has no bytes to be quoted; a slash or a line end is no part of any name.
    stem = re.sub(r"[/\\\x00-\x1f\x7f]+", " ", stem).encode(errors="ignore").decode()
    stem = stem[:_MAX_FILENAME].strip() or "book"
    plain = " ".join(_UNSAFE.sub(" ", stem).split()) or "book"
    return f"attachment; filename=\"{plain}.{suffix}\"; filename*=UTF-8''{quote(f'{stem}.{suffix}', safe='')}"


def _check(chapters: list[Chapter], asked: NewBook) -> None:
    """Raises Conflict (`chapters_lack_audio`) with the chapters that lack audio."""
    lacking = [chapter for chapter in chapters if not chapter.audio_url]
    if not chapters or len(lacking) == len(chapters) or (lacking and not asked.allow_missing):
        raise Conflict(
            f"{len(lacking)} of {len(chapters)} chapters have no audio yet; generate it, or leave them out.",
            code="chapters_lack_audio",
            chapters=[{"id": one.id, "position": one.position, "title": one.title} for one in lacking],
        )


_DISPOSITION = Parameter("Content-Disposition", {"type": "string"}, "The name to save it under.", required=True)

OPERATIONS: Operations = {
    start: Operation(
        "Have the book put together",
        description="While a job is open for the project, that one is answered; the same contents are not put together "
        "twice. Chapters that lack audio are named in `chapters` of the problem.",
        parameters=(IDEMPOTENCY_KEY,),
        body=NewBook,
        answers={202: Answer("The job.", Job, (location("^/api/jobs/book-assembly/", "The job."), RETRY_AFTER))},
        problems={
            400: ["bad_idempotency_key"],
            409: ["chapters_lack_audio", "idempotency_in_progress", "other_book_in_progress"],
            422: ["idempotency_mismatch"],
            429: ["too_many_jobs"],
        },
    ),
    m4b: file_responses.described("The book with chapter marks", _KINDS["m4b"], headers=(_DISPOSITION,)),
    zip: file_responses.described("The book as mp3s in folders", _KINDS["zip"], headers=(_DISPOSITION,)),
}
