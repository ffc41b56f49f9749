"""`/api/projects`: manuscripts in, what became of them out."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import PurePath
from typing import Annotated, Any, BinaryIO

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StringConstraints
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.auth.identity import identity_of
from app.core.errors import NotFound, TooLarge, Unprocessable
from app.core.etags import is_known
from app.core.jobs.models import Job
from app.core.json_model import Model, compact
from app.core.manuscripts import archive, markup, text
from app.core.manuscripts.formats import FORMATS, HEAD_BYTES, format_of
from app.core.projects.books import Book
from app.core.projects.models import Chapter, Project
from app.core.projects.service import UploadedManuscript
from app.core.projects.text_lengths import MAX_RESPELLING, MAX_TERM, MAX_TITLE, MAX_VOICE
from app.core.settings import Settings
from app.core.storage import paths
from app.core.vocabulary import MANUSCRIPT, VOICE_ID, Language
from app.endpoints.multipart_form import Form
from app.endpoints.project_stream import document, project_list, project_snapshot
from app.endpoints.request_body import Body, absent, check, cleaned, kind_of, read_form, read_json
from app.http.json_stream import in_parts
from app.http.responses import NO_STORE, reply
from app.openapi.operation import FORM, JSON, Answer, JsonSchema, Operation, Operations
from app.openapi.parameters import ETAG, IF_NONE_MATCH, location
from app.state import State

# Neither white space nor a control character, whosever idea of white space it is.
_VISIBLE = r"[^\s\u0000-\u001f\u0085\ufeff]"


def _trimmed(title: str) -> str:
    if not re.search(_VISIBLE, title):
        raise PydanticCustomError("blank", "Should have at least one visible character")
    return title.strip()


Title = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_TITLE),
    AfterValidator(_trimmed),
    Field(json_schema_extra={"pattern": _VISIBLE}),
]
Text = Annotated[str, StringConstraints(min_length=1), Field(json_schema_extra={"pattern": r"[\p{L}\p{N}]"})]
"""Something to read aloud: a letter or a digit. `app.core.manuscripts.text` refuses what has none, as in files."""
Voice = Annotated[str, StringConstraints(min_length=1, max_length=MAX_VOICE, pattern=rf"^{VOICE_ID}$")]

_UNTITLED: dict[Language, str] = {"zh-CN": "未命名", "en": "Untitled"}
_TEXT_FORMATS = {"txt", "md"}
COVERS = ("image/png", "image/jpeg", "image/webp")
_PICTURE: JsonSchema = {"type": "string", "format": "binary"}
_LOOK_BYTES = 256 * 1024
_WIDEST_CHARACTER = 4


Speed = Annotated[float, Field(ge=0.5, le=2)]
"""Times as fast as the voice usually is."""
_MAX_TERMS = 500
_MAX_CHANGES = 1024 * 1024


class Term(Body):
    """How a term is said; of two for the same term the first holds."""

    term: Annotated[Title, StringConstraints(max_length=MAX_TERM)]
    respelling: Annotated[Title, StringConstraints(max_length=MAX_RESPELLING)]
    match_case: StrictBool = False


class NewProject(Body):
    """What may be said of a new project."""

    title: Title | None = None
    language: Language | None = None
    voice: Voice | None = None


class NewText(NewProject):
    """A project from text that is sent along."""

    text: Text


def _as_form(schema: dict[str, Any]) -> None:
    """In a form there is no null, and a field that is left empty counts as not sent."""
    texts = {name: [*field["anyOf"][:-1], {"maxLength": 0}] for name, field in schema["properties"].items()}
    schema["properties"] = {"file": _FILE, **{name: {"type": "string", "anyOf": ways} for name, ways in texts.items()}}
    schema["required"] = ["file"]


_FILE = {
    "type": "string",
    "format": "binary",
    "description": f"The manuscript. Its name tells the format: {', '.join(FORMATS)}; without a suffix it is text.",
}


class NewFile(NewProject):
    """A project from a file that is sent along."""

    model_config = ConfigDict(json_schema_extra=_as_form)


class ProjectChanges(Body):
    """What can be changed of a project; a `voice` of null is the engine's own choice.

    `dialogueVoice` reads what stands between quotation marks; null: the voice of the rest. `pronunciations` is the
    whole dictionary: what is said in place of a term wherever it stands as a whole word.
    """

    title: Title = Field(default_factory=absent)
    voice: Voice | None = None
    language: Language = Field(default_factory=absent)
    speed: Speed = Field(default_factory=absent)
    dialogue_voice: Voice | None = None
    pronunciations: list[Term] = Field(default_factory=absent, max_length=_MAX_TERMS)


class ProjectWithJob(Project):
    """A project with its parse job."""

    job: Job | None


class ProjectList(Model):
    """One's projects, newest first."""

    projects: list[ProjectWithJob]


class EstimatedChapter(Chapter):
    """A chapter, about how many seconds its audio will have, and what it will about cost; null without a price."""

    estimated_seconds: float
    estimated_cost: float | None


class ChapterWithJob(EstimatedChapter):
    """A chapter with its latest job."""

    job: Job | None


class ProjectSnapshot(ProjectWithJob):
    """A project with its chapters, the books made of them, the latest job of such a book, and the cursor past which
    events bring it up to date."""

    chapters: list[ChapterWithJob]
    books: list[Book]
    book_job: Job | None
    cursor: str
    estimated_seconds: float
    estimated_cost: float | None
    price_currency: str


async def create(request: Request[State]) -> Response:
    state = request.state
    async with _manuscript(request) as manuscript:
        project, job = await state["projects"].create(identity_of(request).user, manuscript)
    return reply(document(project, job), 201, {"Location": f"/api/projects/{project.id}"})


async def all_of_user(request: Request[State]) -> Response:
    return await in_parts(project_list(request.state, identity_of(request).user), NO_STORE, request.scope["slot"])


async def one(request: Request[State]) -> Response:
    user, id = identity_of(request).user, request.path_params["project"]
    return await in_parts(project_snapshot(request.state, user, id), NO_STORE, request.scope["slot"])


async def cover(request: Request[State]) -> Response:
    """The picture, of a type that was found in its bytes and is sent along; never anything else."""
    user, id = identity_of(request).user, request.path_params["project"]
    project = await request.state["projects"].get(user, id)
    if project.cover_type not in COVERS:
        raise NotFound("The project has no cover.")
    path = paths.cover_path(user, id)
    size, version = await request.state["storage"].size(path)
    etag = request.state["etags"].of(version)
    headers = {"Cache-Control": "private, max-age=3600", "ETag": etag, "Vary": "Authorization, Cookie"}
    if is_known(request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    headers["Content-Length"] = str(size)
    if request.method == "HEAD":
        return Response(headers=headers, media_type=project.cover_type)
    chunks = request.state["storage"].chunks(path, 0, size)
    return StreamingResponse(chunks, 200, headers, media_type=project.cover_type)


async def change(request: Request[State]) -> Response:
    user, id = identity_of(request).user, request.path_params["project"]
    changes = await read_json(request, ProjectChanges, largest=_MAX_CHANGES)
    said = changes.model_dump(exclude_unset=True, by_alias=True)
    _check_pronunciations(said.get("pronunciations", []), request.state["settings"])
    project = await request.state["projects"].change(user, id, said)
    [job] = await request.state["jobs"].latest_of(user, id, [MANUSCRIPT])
    return reply(document(project, job))


def _check_pronunciations(said: list[dict[str, Any]], settings: Settings) -> None:
    most, room = settings.max_pronunciations, settings.max_pronunciation_bytes
    if len(said) > most:
        raise Unprocessable(f"There may be {most} pronunciations.", code="too_many_pronunciations")
    if len(compact(said).encode()) > room:
        raise Unprocessable(f"Pronunciations may have {room} bytes in all.", code="too_many_pronunciations")


async def delete(request: Request[State]) -> Response:
    await request.state["projects"].delete(identity_of(request).user, request.path_params["project"])
    return Response(status_code=204)


@asynccontextmanager
async def _manuscript(request: Request[State]) -> AsyncIterator[UploadedManuscript]:
    """What was sent, to be read while the context is open; of a file there is never more in memory than a piece."""
    settings = request.state["settings"]
    if kind_of(request) == FORM:
        async with read_form(request, settings.max_upload_bytes) as form:
            yield await _uploaded(request, form)
    else:
        asked = await read_json(request, NewText, largest=min(settings.max_json_bytes, settings.max_upload_bytes))
        # No bytes of unknown encoding here: what is read as UTF-8 again must not look like anything else.
        content = BytesIO((await cleaned(request, asked.text)).encode())
        yield await _checked(request, asked, content, "txt", asked.title)


async def _uploaded(request: Request[State], form: Form) -> UploadedManuscript:
    file = form.file
    if file is None or form.file_field != "file":
        raise Unprocessable("Send the manuscript as the form's `file`.", code="no_file")
    asked = check(NewFile, {name: value for name, value in form.fields.items() if value != ""})
    format = format_of(file.filename, await file.read(HEAD_BYTES))
    stem = PurePath((file.filename or "").replace("\\", "/")).stem
    checked = await _checked(request, asked, file.file, format, asked.title or text.title_of(stem))
    return checked._replace(unsaid=_unsaid(asked))


def _unsaid(asked: NewProject) -> tuple[str, ...]:
    """What the manuscript itself may tell, because nobody else did."""
    return tuple(name for name in ("title", "language") if getattr(asked, name) is None)


async def _checked(
    request: Request[State], asked: NewProject, content: BinaryIO, format: str, title: str | None
) -> UploadedManuscript:
    """What shows at a look is refused at once, before anything is made of it; the rest while it is parsed."""
    settings = request.state["settings"]
    language = asked.language or settings.default_language
    if format in _TEXT_FORMATS:
        plain = await asyncio.to_thread(_look_at_text, content, settings.max_characters)
        language = asked.language or text.language_of(plain, language)
        title = title or text.title_of(plain.strip().partition("\n")[0])
    elif format in archive.NEEDED:
        bounds = archive.Bounds(settings.max_archive_entries, settings.max_inflated_bytes)
        await asyncio.to_thread(archive.inspect, content, format, bounds)
    else:
        _look_at_markup(content)
    content.seek(0)
    return UploadedManuscript(content, format, title or _UNTITLED[language], language, asked.voice)


def _look_at_markup(content: BinaryIO) -> None:
    content.seek(0)
    head = content.read(markup.HEAD_BYTES)
    markup.check_prolog(head, whole=len(head) < markup.HEAD_BYTES)


def _look_at_text(content: BinaryIO, max_characters: int) -> str:
    """The beginning of a text, of which no encoding uses more than four bytes for a character."""
    size = content.seek(0, os.SEEK_END)
    if size > max_characters * _WIDEST_CHARACTER:
        raise TooLarge(f"The text has more than {max_characters} characters.", code="too_many_characters")
    content.seek(0)
    head = content.read(_LOOK_BYTES)
    return text.beginning(head, whole=size == len(head))


OPERATIONS: Operations = {
    all_of_user: Operation("One's projects", answers={200: Answer("The newest first.", ProjectList)}),
    create: Operation(
        "A new project from a manuscript",
        description="From text as JSON, or from a file as a form. What shows at a look is refused at once; what turns "
        "out wrong while the manuscript is read ends its parse job, with the same code.",
        body={JSON: NewText, FORM: NewFile},
        answers={201: Answer("The project.", ProjectWithJob, (location("^/api/projects/", "The project."),))},
        problems={
            413: ["inflated_too_large", "too_many_characters", "too_many_entries"],
            415: ["unsupported_format", "wrong_magic"],
            422: [
                *("bad_archive", "empty_text", "encrypted", "nested_archive"),
                *("no_file", "not_text", "unsafe_name", "unsafe_xml"),
            ],
            429: ["storage_full", "too_many_jobs", "too_many_projects"],
            503: ["storage_unavailable"],
        },
    ),
    one: Operation(
        "A project with its chapters",
        description="A snapshot: events past its `cursor` bring it up to date.",
        answers={200: Answer("The project.", ProjectSnapshot)},
    ),
    cover: Operation(
        "The picture on the cover",
        description="404 where the manuscript had none: see the project's `coverType`.",
        parameters=(IF_NONE_MATCH,),
        answers={
            200: Answer("The picture.", dict.fromkeys(COVERS, _PICTURE), (ETAG,)),
            304: Answer("What one has still holds.", headers=(ETAG,)),
        },
        problems={503: ["storage_unavailable"]},
    ),
    change: Operation(
        "Rename a project, change its language and how it is read",
        description="Audio that was made in another way stays, and is `outdated`.",
        body=ProjectChanges,
        answers={200: Answer("The project as it is now.", ProjectWithJob)},
        problems={422: ["too_many_pronunciations"]},
    ),
    delete: Operation(
        "Delete a project with all its files",
        description="What runs for it is cancelled.",
        answers={204: Answer("Deleted.")},
        problems={503: ["storage_unavailable"]},
    ),
}
