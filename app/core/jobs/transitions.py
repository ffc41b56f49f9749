"""The steps of a job's life, each as one write to the log: `waiting → active → completed | failed | cancelled`.

An active job goes back to `waiting` if its worker releases it, or if it is to be tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.eventlog.log import Event, Guard, JobWrite
from app.core.ids import new_id
from app.core.jobs.models import ErrorDetail, Job
from app.core.jobs.progress import Progress, progress, resting
from app.core.json_model import compact
from app.core.timestamps import now
from app.core.vocabulary import ASSEMBLY, NARRATION, PARSING, BookFormat, Language, Queue

PREFIX: dict[Queue, str] = {PARSING: "parse", NARRATION: "audio", ASSEMBLY: "book"}
"""The prefixes of each queue's event types."""

_DETAIL_CHARACTERS = 500


@dataclass(frozen=True)
class JobRequest:
    """What a job shall do: its queue and project, an audio job's chapter, a book's format, and the language of its
    texts.

    `id` is the job's id: a request that is sent again gets the same job.
    """

    queue: Queue
    project: str
    language: Language
    chapter: str | None = None
    id: str | None = None
    format: BookFormat | None = None


@dataclass(frozen=True)
class Claim:
    """A worker's claim on a job: a write with an attempt that is no longer the job's is refused.

    `stage` is the one that the job entered by the claim; `failures` are the earlier attempts that failed, `losses`
    those whose worker was lost since something was kept; `trace` is that of the request (`app.core.telemetry.tracing`).
    """

    user: str
    job: Job
    language: Language
    attempt: int
    stage: str
    failures: int = 0
    losses: int = 0
    trace: str = ""


def fresh(order: JobRequest) -> Job:
    """Return a new job."""
    at = now()
    return Job(
        id=order.id or new_id(),
        queue=order.queue,
        project_id=order.project,
        chapter_id=order.chapter,
        state="waiting",
        progress=progress(order.queue, "queued", order.language),
        attempt=0,
        version="",
        created_at=at,
        updated_at=at,
        format=order.format,
    )


def created(user: str, job: Job, language: Language, grace: float, trace: str = "") -> JobWrite:
    """Create the job; after `grace` seconds without a worker the reaper takes it up.

    Every attempt belongs to `trace`, which is in the record: a message may be lost.
    """
    fields = _record(job) | {"language": language} | ({"traceparent": trace} if trace else {})
    event = _progressed(job, _json(job.progress), 0, job.created_at)
    return _write(user, job, "new", "0", [event], fields, grace)


def cancelled(user: str, job: Job) -> JobWrite:
    """Cancel the job: its worker is refused from now on."""
    at = now()
    event = Event(f"{PREFIX[job.queue]}:cancelled", compact(_data(job, job.attempt, at)))
    return _write(user, job, "command", "", [event], {"state": "cancelled", "updatedAt": at}, ends=True)


def claimed(claim: Claim, lease: float) -> JobWrite:
    """Claim the job as the worker saw it, for `lease` seconds."""
    job, at = claim.job, now()
    told = _json(progress(job.queue, claim.stage, claim.language))
    fields = {
        "state": "active",
        "attempt": str(claim.attempt),
        "losses": str(claim.losses),
        "parked": "0",
        "progress": told,
        "updatedAt": at,
    }
    event = _progressed(job, told, claim.attempt, at)
    return _write(claim.user, job, "claim", _seen(job), [event], fields, lease)


def reported(claim: Claim, progress: Progress, lease: float, *, thin: bool, kept: bool = False) -> JobWrite:
    """Report how far the job is; `thin`: within a stage; `kept`: the next attempt need not do this again."""
    at, told = now(), _json(progress)
    event = _progressed(claim.job, told, claim.attempt, at, thin=thin)
    fields = {"progress": told, "updatedAt": at} | ({"losses": "0"} if kept else {})
    return _held(claim, [event], fields, lease)


def completed(claim: Claim, result: Mapping[str, Any], records: Mapping[str, Mapping[str, str]]) -> JobWrite:
    """Complete the job: stage `done`, then the terminal event with `result`; `records` change in the same step."""
    job, at = claim.job, now()
    told = _json(progress(job.queue, "done", claim.language))
    events = [
        _progressed(job, told, claim.attempt, at),
        Event(f"{PREFIX[job.queue]}:complete", compact(_data(job, claim.attempt, at) | dict(result))),
    ]
    fields = {"state": "completed", "progress": told, "result": compact(result), "updatedAt": at}
    return _held(claim, events, fields, ends=True, records=records)


def failed(claim: Claim, code: str, message: str) -> JobWrite:
    """Fail the job."""
    fields, event = _failure(claim.job, claim.attempt, code, message)
    return _held(claim, [event], fields, ends=True)


def given_up(claim: Claim, code: str, message: str) -> JobWrite:
    """Fail the job instead of claiming it."""
    fields, event = _failure(claim.job, claim.job.attempt, code, message)
    return _write(claim.user, claim.job, "claim", _seen(claim.job), [event], fields, ends=True)


def put_back(claim: Claim, last: Progress, stage: str, pause: float, failures: int) -> JobWrite:
    """Have the job wait again, at `stage`, for at least `pause` seconds, as far as it was `last`."""
    at = now()
    told = _json(resting(last, claim.job.queue, stage, claim.language, pause))
    event = _progressed(claim.job, told, claim.attempt, at)
    fields = {"state": "waiting", "failures": str(failures), "progress": told, "updatedAt": at}
    return _held(claim, [event], fields, pause)


def _failure(job: Job, attempt: int, code: str, message: str) -> tuple[dict[str, str], Event]:
    at = now()
    # Whatever a library said, half a surrogate pair included, must not keep the job from ending.
    said = message[:_DETAIL_CHARACTERS].encode("utf-8", "replace").decode()
    error = ErrorDetail(code=code, message=said).json_dict()
    event = Event(f"{PREFIX[job.queue]}:failed", compact(_data(job, attempt, at) | {"error": error}))
    return {"state": "failed", "error": compact(error), "updatedAt": at}, event


def _record(job: Job) -> dict[str, str]:
    """The job as its hash; its version is the appending script's to write."""
    return {
        "id": job.id,
        "queue": job.queue,
        "projectId": job.project_id,
        "chapterId": job.chapter_id or "",
        "state": job.state,
        "progress": _json(job.progress),
        "attempt": str(job.attempt),
        "createdAt": job.created_at,
        "updatedAt": job.updated_at,
    } | ({"format": job.format} if job.format else {})


def _json(progress: Progress) -> str:
    """As `compact` has it."""
    return progress.model_dump_json(by_alias=True)


def _seen(job: Job) -> str:
    """What a claim was decided on."""
    return f"{job.attempt} {job.state}"


def _data(job: Job, attempt: int, at: str) -> dict[str, Any]:
    """What every event of a job says."""
    data = {"projectId": job.project_id, "jobId": job.id, "at": at, "attempt": attempt}
    named = {"chapterId": job.chapter_id, "format": job.format}
    return data | {name: value for name, value in named.items() if value}


def _progressed(job: Job, told: str, attempt: int, at: str, *, thin: bool = False) -> Event:
    """`told`: how far the job is, as JSON, which stands in the job's hash as well."""
    data = f'{compact(_data(job, attempt, at))[:-1]},"progress":{told}}}'
    return Event(f"{PREFIX[job.queue]}:progress", data, thin)


def _held(
    claim: Claim,
    events: Sequence[Event],
    fields: Mapping[str, str],
    grace: float = 0,
    *,
    ends: bool = False,
    records: Mapping[str, Mapping[str, str]] | None = None,
) -> JobWrite:
    """A write of the worker that holds the job."""
    return _write(
        claim.user, claim.job, "report", str(claim.attempt), events, fields, grace, ends=ends, records=records
    )


def _write(
    user: str,
    job: Job,
    guard: Guard,
    attempt: str,
    events: Sequence[Event],
    fields: Mapping[str, str],
    grace: float = 0,
    *,
    ends: bool = False,
    records: Mapping[str, Mapping[str, str]] | None = None,
) -> JobWrite:
    return JobWrite(
        user=user,
        project=job.project_id,
        job=job.id,
        queue=job.queue,
        owner=job.owner,
        guard=guard,
        attempt=attempt,
        events=events,
        fields=fields,
        ends=ends,
        grace_seconds=grace,
        records=records or {},
    )
