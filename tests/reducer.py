"""What an event does to the jobs that a reader knows: the twin of `static/js/progress/reducer.js`.

A job is the document of `GET /api/jobs/…`, an event is `{id, type, data}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

Job = dict[str, Any]
Event = Mapping[str, Any]

_QUEUES = {"parse": "text-parsing", "audio": "audio-generation", "book": "book-assembly"}
_VERBS = {"progress", "complete", "failed", "cancelled"}
_RESULT_MEMBERS = (
    *("chapters", "characters", "charactersIn", "charactersSpoken", "leftOut"),
    *("audioUrl", "durationSeconds", "downloadUrl", "bytes", "missing"),
)
_CURSOR = re.compile(r"([0-9]{1,15})-([0-9]{1,15})")


def apply(jobs: Mapping[str, Job], event: Event) -> dict[str, Job]:
    """The jobs after `event`; those that it does not change are the same objects."""
    if event["type"] == "project:changed":
        return {id: job for id, job in jobs.items() if job["chapterId"] not in event["data"]["gone"]}
    job = _after(jobs.get(event["data"].get("jobId")), event)
    return dict(jobs) if job is None else {**jobs, job["id"]: job}


def picture(jobs: Mapping[str, Job], projects: Iterable[str] | None = None) -> dict[str, Job]:
    """What a fresh snapshot shows of `jobs`: the latest job of everything that can be made, by id.

    `projects` narrows it to those. The later of two jobs of one chapter has the later version, for it cannot begin
    before the earlier one ended.
    """
    wanted = None if projects is None else set(projects)
    latest: dict[tuple[str, str, str | None], Job] = {}
    for job in jobs.values():
        made = (job["projectId"], job["queue"], job["chapterId"])
        if (wanted is None or job["projectId"] in wanted) and (
            made not in latest or _newer(job["version"], latest[made]["version"])
        ):
            latest[made] = job
    return {job["id"]: job for job in latest.values()}


def _after(job: Job | None, event: Event) -> Job | None:
    prefix, _, verb = str(event["type"]).partition(":")
    if prefix not in _QUEUES or verb not in _VERBS or (job and not _newer(event["id"], job["version"])):
        return job
    data = event["data"]
    before = job or _first_seen(_QUEUES[prefix], data)
    attempt = data.get("attempt")
    return {
        **before,
        **_change(verb, data),
        "attempt": before["attempt"] if attempt is None else attempt,
        "version": event["id"],
        "updatedAt": data["at"],
    }


def _change(verb: str, data: Mapping[str, Any]) -> Job:
    if verb == "progress":
        progress = data["progress"]
        return {"state": "waiting" if progress["stage"] in {"queued", "retrying"} else "active", "progress": progress}
    if verb == "complete":
        result = {name: data[name] for name in _RESULT_MEMBERS if name in data}
        return {"state": "completed", "result": result, "error": None}
    return {"state": "failed", "error": data["error"]} if verb == "failed" else {"state": "cancelled"}


def _first_seen(queue: str, data: Mapping[str, Any]) -> Job:
    return {
        "id": data["jobId"],
        "queue": queue,
        "projectId": data["projectId"],
        "chapterId": data.get("chapterId"),
        "state": "waiting",
        "progress": None,
        "attempt": 0,
        "version": None,
        "createdAt": data["at"],
        "updatedAt": data["at"],
        "result": None,
        "error": None,
        "format": data.get("format"),
    }


def _newer(id: str | None, other: str | None) -> bool:
    """Whether `id` comes after `other`: anything comes after no cursor, and nothing that is none comes after one."""
    left, right = _parts(id), _parts(other)
    return left is not None and (right is None or left > right)


def _parts(text: str | None) -> tuple[int, int] | None:
    match = _CURSOR.fullmatch(text or "")
    return (int(match[1]), int(match[2])) if match else None
