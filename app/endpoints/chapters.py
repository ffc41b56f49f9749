"""`/api/projects/…/chapters`: one chapter with its text, and having it read aloud."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from app.auth.identity import identity_of
from app.core.jobs.models import Job
from app.core.jobs.service import JobRequest
from app.core.json_model import Model
from app.core.projects.models import Chapter
from app.core.storage.paths import segment_path
from app.core.vocabulary import NARRATION, Language
from app.endpoints.idempotency import id_of, once
from app.endpoints.project_stream import estimated
from app.endpoints.projects import ChapterWithJob, EstimatedChapter, Speed, Text, Title, Voice
from app.endpoints.request_body import Body, absent, cleaned, read_json
from app.http.responses import reply
from app.openapi.operation import Answer, Operation, Operations
from app.openapi.parameters import IDEMPOTENCY_KEY, RETRY_AFTER, location
from app.state import State

_MAX_REDONE = 10_000
_CHAPTERS_EACH = 50
_MAX_REQUEST = 256 * 1024


class ChapterChanges(Body):
    """What can be changed of a chapter; a `voice` or `speed` of null is the project's."""

    title: Title = Field(default_factory=absent)
    text: Text = Field(default_factory=absent)
    voice: Voice | None = None
    speed: Speed | None = None


class Narration(Body):
    """How a narration is to be done; its project's own ways where nothing is said."""

    language: Language | None = None


class Place(Body):
    """A place in a chapter's text: the number of a character (a code point) from 0. The line that holds it begins the
    new chapter."""

    offset: int = Field(ge=1, le=100_000_000, examples=[400])


class SplitChapter(Model):
    """The chapter that was split, and the new one behind it."""

    chapters: list[EstimatedChapter]


class ChapterNarration(Narration):
    """`redo`: segments, by their `index` in the report, that are to be said anew although they are kept."""

    redo: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list, max_length=_MAX_REDONE)


NarrationT = TypeVar("NarrationT", bound=Narration)


class Segment(Model):
    """A segment of a chapter as it was said: `start` and `end` are its place in the text (both 0 for the title).

    `text` is its beginning. `flags`: `implausible` (too short or too long to be all of it), `fast` or `slow` (far from
    the chapter's usual pace), `silent` (no sound, or a long gap), `clipped`.
    """

    index: int
    start: int
    end: int
    text: str
    seconds: float
    characters_per_second: float
    flags: list[Literal["implausible", "fast", "slow", "silent", "clipped"]]


class Report(Model):
    """How completely a chapter's audio says its text. `suspicious`: the indexes of the segments with flags."""

    audio_url: str
    outdated: bool
    suspicious: list[int]
    segments: list[Segment]


class ChapterText(ChapterWithJob):
    """One chapter with its text."""

    text: str


class StartedJobs(Model):
    """The jobs that were started, or were under way."""

    jobs: list[Job]


async def one(request: Request[State]) -> Response:
    user, project, id = _named(request)
    chapter, content, _ = await request.state["projects"].text(user, project, id)
    [job] = await request.state["jobs"].latest_of(user, project, [id])
    return reply(await _estimated(request, chapter) | {"text": content, "job": job.json_dict() if job else None})


async def change(request: Request[State]) -> Response:
    user, project, id = _named(request)
    changes = await read_json(request, ChapterChanges, largest=request.state["settings"].max_json_bytes)
    said = changes.model_dump(exclude_unset=True, exclude={"text"})
    record = {name: "" if value is None else str(value) for name, value in said.items()}
    content = None if changes.text is None else await cleaned(request, changes.text)
    chapter = await request.state["projects"].change_chapter(user, project, id, record, text=content)
    return reply(await _estimated(request, chapter))


async def split(request: Request[State]) -> Response:
    """201 with both halves; the same again for the same Idempotency-Key."""
    user, project, id = _named(request)
    await request.state["projects"].chapter(user, project, id)
    place = await read_json(request, Place)

    async def act() -> Response:
        halves = await request.state["projects"].split_chapter(
            user, project, id, place.offset, id=id_of(request, f"{id} split")
        )
        location = f"/api/projects/{project}/chapters/{halves[1].id}"
        return reply({"chapters": [await _estimated(request, half) for half in halves]}, 201, {"Location": location})

    return await once(request, place.model_dump_json(), act)


async def merge(request: Request[State]) -> Response:
    """200 with the chapter before, of which this one is a part now."""
    user, project, id = _named(request)

    async def act() -> Response:
        return reply(await _estimated(request, await request.state["projects"].merge_chapter(user, project, id)))

    return await once(request, "", act)


async def narrate(request: Request[State]) -> Response:
    """202 with the job; while one is open for the chapter, that one."""
    user, project, id = _named(request)
    asked = await _narration(request, ChapterNarration)

    async def start() -> Response:
        if asked.redo:
            await _forget(request, project, id, set(asked.redo))
        chapter = await request.state["projects"].chapter(user, project, id)
        language = asked.language or (await request.state["projects"].get(user, project)).language
        [job] = await _start(request, [chapter], language)
        return reply(job.json_dict(), 202, {"Location": f"/api/jobs/{job.queue}/{job.id}", "Retry-After": "1"})

    return await once(request, asked.model_dump_json(), start)


async def report(request: Request[State]) -> Response:
    """How completely the chapter's audio says its text, segment by segment."""
    user, project, id = _named(request)
    found = await request.state["projects"].report(user, project, id)
    chapter = await request.state["projects"].chapter(user, project, id)
    segments = [{name: value for name, value in one.items() if name != "name"} for one in found["segments"]]
    suspicious = [one["index"] for one in segments if one["flags"]]
    about = {"audioUrl": chapter.audio_url, "outdated": chapter.outdated, "suspicious": suspicious}
    return reply(about | {"segments": segments})


async def _forget(request: Request[State], project: str, chapter: str, indexes: set[int]) -> None:
    """Drops the kept sound of some segments; those that the report does not have are left out of account."""
    user = identity_of(request).user
    found = await request.state["projects"].report(user, project, chapter)
    names = {one["name"] for one in found["segments"] if one["index"] in indexes and one["name"]}
    await request.state["storage"].delete([segment_path(user, project, name) for name in sorted(names)])
    await request.state["projects"].next_take(user, project, chapter)


async def narrate_all(request: Request[State]) -> Response:
    """202 with a job for every chapter that lacks audio of its present text."""
    user, project = identity_of(request).user, request.path_params["project"]
    asked = await _narration(request, Narration)

    async def start() -> Response:
        owner = await request.state["projects"].get(user, project)
        ids = await request.state["projects"].chapter_ids(user, project)
        jobs: list[str] = []
        # A few at a time: others are served in between, and no project is ever in memory as a whole.
        for first in range(0, len(ids), _CHAPTERS_EACH):
            chapters = await request.state["projects"].some_chapters(user, ids[first : first + _CHAPTERS_EACH], owner)
            lacking = [chapter for chapter in chapters if chapter.audio_url is None or chapter.outdated]
            started = await _start(request, lacking, asked.language or owner.language)
            jobs += [job.json_text() for job in started]
        return reply(f'{{"jobs":[{",".join(jobs)}]}}'.encode(), 202)

    return await once(request, asked.model_dump_json(), start)


async def _start(request: Request[State], chapters: list[Chapter], language: Language) -> list[Job]:
    user = identity_of(request).user
    jobs = []
    for chapter in chapters:
        order = JobRequest(NARRATION, chapter.project_id, language, chapter.id, id_of(request, chapter.id))
        job, _ = await request.state["jobs"].create(user, order)
        jobs.append(job)
    return jobs


async def _estimated(request: Request[State], chapter: Chapter) -> dict[str, Any]:
    project = await request.state["projects"].get(identity_of(request).user, chapter.project_id)
    return estimated(chapter, project, request.state["settings"])


async def _narration(request: Request[State], model: type[NarrationT]) -> NarrationT:
    """The body is optional: no body asks for nothing special."""
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        return model()
    return await read_json(request, model, largest=_MAX_REQUEST)


def _named(request: Request[State]) -> tuple[str, str, str]:
    return identity_of(request).user, request.path_params["project"], request.path_params["chapter"]


_AS_ONE_SAYS = "`language` is the one that the job speaks; the project's where none is said."
_STARTING = {
    400: ["bad_idempotency_key"],
    409: ["idempotency_in_progress"],
    422: ["idempotency_mismatch"],
    429: ["too_many_jobs"],
}

OPERATIONS: Operations = {
    one: Operation(
        "One chapter with its text",
        answers={200: Answer("The chapter.", ChapterText)},
        problems={503: ["storage_unavailable"]},
    ),
    change: Operation(
        "Change a chapter's title or text, or how it is read",
        description="Audio of an earlier text, or made in another way, stays, and is `outdated`.",
        body=ChapterChanges,
        answers={200: Answer("The chapter as it is now.", EstimatedChapter)},
        problems={
            409: ["chapter_busy"],
            422: ["chapter_too_long", "empty_text", "too_many_characters"],
            429: ["storage_full"],
            503: ["storage_unavailable"],
        },
    ),
    split: Operation(
        "Split a chapter in two",
        description="A short line at the place becomes the new chapter's title. Audio of the chapter stays with its "
        "first half, and is `outdated`. Everybody who looks on hears `project:changed`.",
        parameters=(IDEMPOTENCY_KEY,),
        body=Place,
        answers={201: Answer("Both halves.", SplitChapter, (location("^/api/projects/", "The new chapter."),))},
        problems={
            400: ["bad_idempotency_key"],
            409: ["chapter_busy", "chapter_changed", "idempotency_in_progress", "nothing_to_split"],
            422: ["idempotency_mismatch", "too_many_chapters"],
            429: ["storage_full", "too_many_chapters_in_all"],
            503: ["storage_unavailable"],
        },
    ),
    merge: Operation(
        "Merge a chapter with the one before it",
        description="Its title becomes a line of the text, its audio is deleted, and that of the other is `outdated`. "
        "Everybody who looks on hears `project:changed`.",
        parameters=(IDEMPOTENCY_KEY,),
        answers={200: Answer("The chapter before, of which this one is a part now.", EstimatedChapter)},
        problems={
            400: ["bad_idempotency_key"],
            409: ["chapter_busy", "chapter_changed", "idempotency_in_progress", "nothing_to_merge"],
            422: ["chapter_too_long", "idempotency_mismatch", "too_many_characters"],
            429: ["storage_full"],
            503: ["storage_unavailable"],
        },
    ),
    report: Operation(
        "How completely a chapter's audio says its text",
        description="404 where there is no audio yet.",
        answers={200: Answer("The report.", Report)},
        problems={503: ["storage_unavailable"]},
    ),
    narrate: Operation(
        "Have a chapter read aloud",
        description=f"While a job is open for the chapter, that one is answered. {_AS_ONE_SAYS}",
        parameters=(IDEMPOTENCY_KEY,),
        body=ChapterNarration,
        body_required=False,
        answers={
            202: Answer("The job.", Job, (location("^/api/jobs/audio-generation/", "The job."), RETRY_AFTER)),
        },
        problems=_STARTING | {503: ["storage_unavailable"]},
    ),
    narrate_all: Operation(
        "Have every chapter read aloud that lacks audio of its present text",
        description=_AS_ONE_SAYS,
        parameters=(IDEMPOTENCY_KEY,),
        body=Narration,
        body_required=False,
        answers={202: Answer("The jobs.", StartedJobs)},
        problems=_STARTING,
    ),
}
