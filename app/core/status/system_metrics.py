"""What is true of the whole installation, whichever process is asked: the state of Redis, and how long queues are."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError

from app.core.jobs.broker import ACTORS, is_rabbitmq
from app.core.redis import keys
from app.core.redis.client import connect
from app.core.settings import Settings

_PATIENCE_SECONDS = 1.0

REDIS_UP = ("smartvoice_redis_up", "Whether Redis answers within a second.")
REDIS_MEMORY = ("smartvoice_redis_memory_bytes", "Memory that Redis uses.")
REDIS_LIMIT = ("smartvoice_redis_memory_limit_bytes", "Memory that Redis may use; 0: no limit of its own.")
REDIS_CLIENTS = ("smartvoice_redis_clients", "Connections to Redis.")
QUEUE_LENGTH = ("smartvoice_queue_messages", "Jobs handed to the workers that none has fetched.")
QUEUE_AGE = ("smartvoice_queue_oldest_seconds", "How long the oldest of them has been waiting; 0: there is none.")
NAMES = (REDIS_UP, REDIS_MEMORY, REDIS_LIMIT, REDIS_CLIENTS, QUEUE_LENGTH, QUEUE_AGE)


async def system_metrics(settings: Settings, redis: Redis) -> list[Metric]:
    """As far as they can be told within a second or two."""
    return [*await _of_redis(redis), *await _of_queues(settings)]


async def _of_redis(redis: Redis) -> list[Metric]:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            told = await _told(redis)
    except (RedisError, OSError, TimeoutError):
        return [GaugeMetricFamily(*REDIS_UP, 0)]
    return [
        GaugeMetricFamily(*REDIS_UP, 1),
        GaugeMetricFamily(*REDIS_MEMORY, sum(one["used_memory"] for one in told)),
        GaugeMetricFamily(*REDIS_LIMIT, sum(one.get("maxmemory", 0) for one in told)),
        GaugeMetricFamily(*REDIS_CLIENTS, sum(one["connected_clients"] for one in told)),
    ]


async def _told(redis: Redis) -> list[dict[str, Any]]:
    """What each server tells: one, or the primaries of a cluster."""
    if isinstance(redis, RedisCluster):
        told = await redis.info(target_nodes=RedisCluster.PRIMARIES)
        return list(told.values()) if "used_memory" not in told else [told]
    return [await redis.info()]


async def _of_queues(settings: Settings) -> list[Metric]:
    """Of Dramatiq's own keys; of another broker than Redis nothing is told here."""
    if is_rabbitmq(settings.queue):
        return []
    lengths = GaugeMetricFamily(*QUEUE_LENGTH, labels=["queue"])
    ages = GaugeMetricFamily(*QUEUE_AGE, labels=["queue"])
    broker = connect(settings.queue)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            for queue in ACTORS:
                length, age = await _backlog(broker, queue)
                lengths.add_metric([queue], length)
                ages.add_metric([queue], age)
    except (RedisError, OSError, TimeoutError):
        return []
    finally:
        await broker.aclose()
    return [lengths, ages]


async def _backlog(broker: Any, queue: str) -> tuple[int, float]:
    """How many messages wait in a queue, and for how many seconds the first of them has."""
    name = f"{keys.QUEUE_NAMESPACE}:{queue}"
    first = await broker.lindex(name, 0)
    message = await broker.hget(f"{name}.msgs", first) if first else None
    age = time.time() - json.loads(message)["message_timestamp"] / 1000 if message else 0.0
    return await broker.llen(name), max(0.0, age)
