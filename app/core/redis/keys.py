"""Every Redis key and channel of SmartVoice, what is in it and how long it lives.

All keys of one user share the hash tag `{u:<user>}`, so that one script may touch them together on a cluster too.
`<user>` is the user's id, percent-encoded, so it holds no brace, slash or colon.
"""

from __future__ import annotations

import hashlib

from app.core.vocabulary import NARRATION, Queue

BUSY = "sv:busy"
"""Sorted set: users who may have open jobs, by when the latest was made (ms). The reaper's list; no expiry."""

DELETED = "sv:deleted"
"""Sorted set: `<user> <project>` of deleted projects, by when their files are to be deleted once more (s), because a
worker may have been writing. No expiry; each goes with its turn."""

SWEEPING = "sv:sweeping"
"""String: a worker is sweeping the segments; lives until the next sweep is due."""

VOICES = "sv:voices"
"""String: the voices of the configured engine as JSON, written by each worker as it starts; no expiry."""

WEBS = "sv:webs"
"""Sorted set: web processes, by until when each counts as alive (ms of Redis' clock); no expiry."""

WORKERS = "sv:workers"
"""Sorted set: `<worker> <places>`, worker processes and how many jobs of each queue they do at once, by until when each
counts as alive (ms of Redis' clock); no expiry."""

ACCOUNTS = "sv:accounts"
"""Set: the names of the local accounts; no expiry."""

CONTROL = "sv:control"
"""Channel: whose credentials have ended, as JSON: `user`, and `session` where it is that one alone."""

QUEUE_NAMESPACE = "sv:queue"
"""Prefix of Dramatiq's own keys."""

ENQUEUED = "sv:bell"
"""Channel, on the broker's Redis: a message was put into the queue that is named."""


def all_of_user(user: str) -> str:
    """Pattern of all keys of one user, for `SCAN`: an id has no character that means something there."""
    return f"sv:{{u:{user}}}:*"


def log(user: str) -> str:
    """Stream: all that the user can see happening. Trimmed to `log_length`, dropped after `log_days` of silence."""
    return f"sv:{{u:{user}}}:log"


def channel(user: str) -> str:
    """Channel: each event of the log as it is appended (see `app.core.eventlog.log.LogEntry`)."""
    return f"sv:{{u:{user}}}:events"


def user(user: str) -> str:
    """Hash: `epoch`, the latest that the user's log had, so that none is used twice; `before`, the one before that;
    `fallen`, where the log lost its end and the next event must begin a new epoch; `line`, the latest number in line;
    `clock`, the latest time of the server that the reaper saw (ms); no expiry."""
    return f"sv:{{u:{user}}}:user"


def open_jobs(user: str) -> str:
    """Sorted set: waiting and active jobs, by when the reaper is to look at them (ms of Redis' clock); no expiry."""
    return f"sv:{{u:{user}}}:open"


def line(user: str, queue: Queue) -> str:
    """Sorted set: open jobs of a queue that wait in line, not yet handed to the workers, in their order; no expiry."""
    return f"sv:{{u:{user}}}:line" if queue == NARRATION else f"sv:{{u:{user}}}:line:{queue}"


def out_of_line(user: str, queue: Queue) -> str:
    """Set: open jobs of a queue that were handed to the workers; ended ones may stay for a while. No expiry."""
    return f"sv:{{u:{user}}}:out:{queue}"


def job(user: str, job: str) -> str:
    """Hash: one job, with `lease`: until when nobody else may take it, in ms, and `leaseMs`, for how
    long that was given; `failures` and `losses`: attempts that
    went wrong, and attempts whose worker was lost since something was kept; `parked`: 1 while its worker
    keeps it and works at others. Dropped `job_days` after its end."""
    return f"sv:{{u:{user}}}:job:{job}"


def ended(user: str) -> str:
    """Sorted set: `<project> <job>` of jobs that have ended, by when (ms of Redis' clock). Of too many the oldest go,
    with their records; dropped `job_days` after the last."""
    return f"sv:{{u:{user}}}:ended"


def projects(user: str) -> str:
    """Sorted set: the user's projects by when they were made (ms); no expiry."""
    return f"sv:{{u:{user}}}:projects"


def project(user: str, project: str) -> str:
    """Hash: one project; no expiry."""
    return f"sv:{{u:{user}}}:project:{project}"


def chapters(user: str, project: str) -> str:
    """Sorted set: the chapters of a project by position; no expiry."""
    return f"sv:{{u:{user}}}:project:{project}:chapters"


def project_jobs(user: str, project: str) -> str:
    """Hash: the latest job for each thing that can be made (`manuscript`, `book` or a chapter's id); no expiry."""
    return f"sv:{{u:{user}}}:project:{project}:jobs"


def all_project_jobs(user: str, project: str) -> str:
    """Set: every job that a project ever had, so that they go with it; no expiry."""
    return f"sv:{{u:{user}}}:project:{project}:all-jobs"


def chapter(user: str, chapter: str) -> str:
    """Hash: one chapter without its text, which is in the storage; no expiry."""
    return f"sv:{{u:{user}}}:chapter:{chapter}"


def deletions(user: str) -> str:
    """Sorted set: deleted projects by when they were (Unix time): of too many the oldest are forgotten. Dropped with
    the last of them."""
    return f"sv:{{u:{user}}}:deletions"


def deleted(user: str, project: str) -> str:
    """String: this project was the user's and is deleted. Dropped after `log_days`, as events of it are."""
    return f"sv:{{u:{user}}}:deleted:{project}"


def usage(user: str) -> str:
    """Hash: what the user's projects have and what is reserved (see `app.core.projects.quotas`); no expiry."""
    return f"sv:{{u:{user}}}:usage"


def reserved(user: str) -> str:
    """Sorted set: ids of what is reserved, by when it lapses (ms of Redis' clock); no expiry."""
    return f"sv:{{u:{user}}}:reserved"


def answers(user: str) -> str:
    """Hash: by the digest of an `Idempotency-Key`, the digest of the request and the answer it got, or who is at it
    (see `app.core.redis.idempotency`); `bytes`, how many the answers have. Each goes after a day, the oldest sooner
    where there are too many; dropped a day after the last."""
    return f"sv:{{u:{user}}}:answers"


def answers_order(user: str) -> str:
    """Sorted set: the same digests by when they came (ms); dropped with them."""
    return f"sv:{{u:{user}}}:answers:order"


def rate(user: str, what: str) -> str:
    """String: when the user may do a whole minute's worth of `what` again (µs of Redis' clock). Dropped then."""
    return f"sv:{{u:{user}}}:rate:{what}"


def streams(user: str) -> str:
    """Hash: how many streams each web process holds for the user. Dropped 30 days after the last was opened."""
    return f"sv:{{u:{user}}}:streams"


def account(name: str) -> str:
    """Hash: a local account: `password` (argon2), `createdAt`, `changedAt`; no expiry."""
    return f"sv:account:{name}"


def access(user: str) -> str:
    """Hash: `disabled`, where the user may not come in; `notBefore`, the Unix time that their credentials must be
    younger than; no expiry."""
    return f"sv:{{u:{user}}}:access"


def second_factor(user: str) -> str:
    """Hash: the second factor of a local account: `secret`, sealed, after the id of the key that opens it; `since`,
    Unix time. No expiry."""
    return f"sv:{{u:{user}}}:second-factor"


def second_factor_pending(user: str) -> str:
    """String: the sealed secret of a second factor that is not yet enabled. Dropped after ten minutes."""
    return f"sv:{{u:{user}}}:second-factor-pending"


def recovery_codes(user: str) -> str:
    """Set: digests of the codes that are good once in place of the second factor; no expiry."""
    return f"sv:{{u:{user}}}:recovery-codes"


def code_used(user: str, step: int) -> str:
    """String: the code of this step of time (RFC 6238) was used. Dropped when it would not hold any more."""
    return f"sv:{{u:{user}}}:code:{step}"


def sessions(user: str) -> str:
    """Sorted set: digests of the cookies of the user's sign-ins, by when they end (Unix time); no expiry."""
    return f"sv:{{u:{user}}}:sessions"


def session(digest: str) -> str:
    """String: who signed in with the cookie of this digest, and until when, as JSON (see `app.auth.sessions`). Lives as
    long as the sign-in."""
    return f"sv:session:{digest}"


def ticket(token: str) -> str:
    """String: whom this stream ticket stands for, as JSON (see `app.auth.stream_tickets`). Dropped when used or after
    `ticket_seconds`."""
    return f"sv:ticket:{digest(token)}"


def oidc(state: str) -> str:
    """String: a sign-in that has begun at the OpenID provider, as JSON (see `app.auth.oidc`). Dropped when it ends or
    after ten minutes."""
    return f"sv:oidc:{digest(state)}"


OIDC_BEGUN = "sv:oidc-begun"
"""Sorted set: keys of the sign-ins that have begun at the OpenID provider, by when they end (Unix time). Each goes when
it ends, or with the next that begins."""


def device(token: str) -> str:
    """String: who has signed in by password in the browser with this cookie, and when, as JSON. Dropped after 180
    days without a sign-in."""
    return device_of(digest(token))


def device_of(digest: str) -> str:
    """The same, by the digest of the cookie."""
    return f"sv:device:{digest}"


def devices(user: str) -> str:
    """Sorted set: digests of the cookies of the browsers that the user has signed in with, by when (Unix time); of too
    many the oldest are forgotten. Dropped as the last of them is."""
    return f"sv:{{u:{user}}}:devices"


def throttle(kind: str, whom: str) -> str:
    """String: how far ahead of its rate somebody is (see `app.auth.signin_throttle`). Dropped when it has caught up."""
    return f"sv:throttle:{kind}:{digest(whom)[:32]}"


def link(token: str) -> str:
    """String: when this one-time link was made (Unix time), and whom it signs in. Dropped when used or after
    `link_minutes`."""
    return f"sv:link:{digest(token)}"


def digest(secret: str) -> str:
    """What is kept of a secret or of a text of any length: its SHA-256, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()
