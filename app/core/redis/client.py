"""Connections to Redis, and what its refusals mean to those who asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import (
    ClusterError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from app.core.errors import Problem, Unavailable
from app.core.redis import cluster, keys, sentinel
from app.core.redis.cluster import Cluster, is_cluster
from app.core.redis.multiplexed import MultiplexedRedis
from app.core.redis.sentinel import is_sentinel

_CONNECTIONS = 50
UNREACHABLE = (ConnectionError, TimeoutError, ReadOnlyError, ClusterError, OSError)


def connect(url: str, *, patient: bool = False) -> Redis:
    """A client of the Redis at `url` (also `redis+cluster://`, `redis+sentinel://`); nothing is opened before its use.

    Answers are bytes.

    One stale connection is made good at once; a `patient` client (a worker's) goes on trying for about ten seconds,
    an impatient one (a request's) tells at once that Redis is away.
    """
    backoff, tries = (ExponentialWithJitterBackoff(base=0.1, cap=3), 6) if patient else (NoBackoff(), 1)
    # A Unix socket has no keepalive, and its connection class refuses to hear of one.
    keepalive: dict[str, Any] = {} if url.startswith("unix:") else {"socket_keepalive": True}
    options: dict[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 2, "retry": Retry(backoff, tries)}
    if is_cluster(url):
        # The two clients share the commands that are used here, but no base class that says so.
        options["retry"], patience = Retry(NoBackoff(), 3), Retry(backoff, tries if patient else 0)
        return cast(Redis, cluster.client(url, patience=patience, **options, **keepalive))
    if is_sentinel(url):
        options["retry"] = Retry(ExponentialWithJitterBackoff(base=0.1, cap=1), max(tries, 2))
        return sentinel.client(url, _CONNECTIONS, 5, **options, **keepalive)
    # Whoever comes while all connections are at work waits for one; redis-py's usual pool refuses instead.
    pool = BlockingConnectionPool.from_url(url, max_connections=_CONNECTIONS, timeout=5, **options, **keepalive)
    return MultiplexedRedis.from_pool(pool)


async def prepare(redis: Redis | Cluster) -> None:
    """Lets a client get to know its cluster before many use it at once, which redis-py does not bear.

    A cluster that is away is got to know later, by whoever uses it first.
    """
    if isinstance(redis, Cluster):
        with suppress(RedisError, OSError):
            await redis.initialize()


async def fault_of(redis: Redis, seconds: float = 3.0) -> str:
    """Why this client gets no answer from its Redis, in words; nothing where it does."""
    try:
        async with asyncio.timeout(seconds):
            # Not PING, which the servers of a cluster that is down answer.
            await redis.exists(keys.BUSY)
    except (RedisError, OSError) as error:
        return f"Redis does not serve it: {type(error).__name__} {error}".strip()
    return ""


def decoded(record: Mapping[Any, Any]) -> dict[str, str]:
    """A hash as Redis returns it, as text. (redis-py's types cannot say that this client's answers are bytes.)"""
    return {name.decode(): value.decode() for name, value in record.items()}


def names(members: Iterable[Any]) -> list[str]:
    """The members of a list or set as Redis returns them, as text."""
    return [member.decode() for member in members]


def fields(record: Mapping[str, str]) -> dict[Any, Any]:
    """A record as redis-py's types want a hash to be."""
    return dict(record)


def problem_of(error: RedisError | OSError) -> Problem:
    """What to tell somebody whose request failed on `error`. What is not the world's fault is raised again."""
    if isinstance(error, UNREACHABLE):
        return Unavailable(
            "The database cannot be reached; try again shortly.", code="redis_unavailable", retry_after=2
        )
    # redis-py takes the word OOM off the message where it gives the error a class of its own.
    refusals = ("OOM", "MISCONF", "LOADING", "BUSY", "NOREPLICAS")
    if isinstance(error, OutOfMemoryError) or (isinstance(error, ResponseError) and str(error).startswith(refusals)):
        return Unavailable("The database cannot take more just now; try again.", code="redis_refused", retry_after=10)
    raise error
