"""How the service is: what the machine that is asked can tell, and what all machines share."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from prometheus_client.metrics_core import Metric
from redis.asyncio import Redis

from app.core.jobs.broker import ACTORS
from app.core.json_model import Model
from app.core.settings import Settings
from app.core.status.exposition import SILENT, families_of
from app.core.status.system_metrics import (
    QUEUE_AGE,
    QUEUE_LENGTH,
    REDIS_CLIENTS,
    REDIS_MEMORY,
    REDIS_UP,
    system_metrics,
)
from app.core.timestamps import now


class Totals(Model):
    """Counted since the processes of this machine began; lower than before where one of them has ended."""

    published: int
    delivered: int
    replayed: int
    conflated: int
    resets: int
    requests: int
    server_errors: int
    refusals: int
    segments_kept: int
    segments_voiced: int
    engine_errors: int
    lag_samples: int
    lag_seconds: float


class QueueStatus(Model):
    """One queue: `waiting` with no worker, the oldest for so long; on this machine `active`, and what has ended."""

    queue: str
    waiting: int
    oldest_seconds: float
    active: int
    completed: int
    failed: int


class RedisStatus(Model):
    """Redis, as it answers within a second."""

    up: bool
    memory_bytes: int
    clients: int


class Status(Model):
    """How the machine that was asked is, and what all machines share: queues and Redis."""

    at: str
    host: str
    processes: list[str]
    silent: int
    streams: int
    polls: int
    totals: Totals
    queues: list[QueueStatus]
    redis: RedisStatus


async def status_of(settings: Settings, redis: Redis) -> Status:
    """As it is just now; whatever does not answer is left out within a second or two."""
    return _status(_Told([*await families_of(settings), *await system_metrics(settings, redis)]))


class _Told:
    """Samples, added up over all labels that are not asked for."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._samples = [sample for family in families for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        wanted = labels.items()
        return sum(one.value for one in self._samples if one.name == name and wanted <= one.labels.items())

    def all_but(self, name: str, label: str, value: str) -> int:
        return int(self(name) - self(name, **{label: value}))

    def starting(self, name: str, label: str, start: str) -> int:
        found = (one for one in self._samples if one.name == name and one.labels[label].startswith(start))
        return int(sum(one.value for one in found))

    @property
    def processes(self) -> list[str]:
        return sorted({one.labels["process"] for one in self._samples if "process" in one.labels})


def _status(told: _Told) -> Status:
    return Status(
        at=now(),
        host=socket.gethostname(),
        processes=told.processes,
        silent=int(told(SILENT[0])),
        streams=int(told("smartvoice_streams", transport="sse")),
        polls=int(told("smartvoice_streams", transport="poll")),
        totals=_totals(told),
        queues=[_queue(told, queue) for queue in ACTORS],
        redis=RedisStatus(
            up=bool(told(REDIS_UP[0])),
            memory_bytes=int(told(REDIS_MEMORY[0])),
            clients=int(told(REDIS_CLIENTS[0])),
        ),
    )


def _totals(told: _Told) -> Totals:
    return Totals(
        published=int(told("smartvoice_events_published_total")),
        delivered=int(told("smartvoice_events_delivered_total")),
        replayed=int(told("smartvoice_events_replayed_total")),
        conflated=int(told("smartvoice_events_conflated_total")),
        resets=int(told("smartvoice_resets_total")),
        requests=int(told("smartvoice_http_requests_total")),
        server_errors=told.starting("smartvoice_http_requests_total", "status", "5"),
        refusals=int(told("smartvoice_refusals_total")),
        segments_kept=int(told("smartvoice_segments_total", source="kept")),
        segments_voiced=int(told("smartvoice_segments_total", source="voiced")),
        engine_errors=told.all_but("smartvoice_engine_calls_total", "outcome", "ok"),
        lag_samples=int(told("smartvoice_delivery_lag_seconds_count")),
        lag_seconds=told("smartvoice_delivery_lag_seconds_sum"),
    )


def _queue(told: _Told, queue: str) -> QueueStatus:
    return QueueStatus(
        queue=queue,
        waiting=int(told(QUEUE_LENGTH[0], queue=queue)),
        oldest_seconds=told(QUEUE_AGE[0], queue=queue),
        active=int(told("smartvoice_jobs_active", queue=queue)),
        completed=int(told("smartvoice_jobs_total", queue=queue, step="completed")),
        failed=int(told("smartvoice_jobs_total", queue=queue, step="failed")),
    )
