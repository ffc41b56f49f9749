"""Dramatiq as it comes: an actor that tells four times by pub/sub how far it is."""

from __future__ import annotations

import os

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

_PORT = int(os.environ["BENCH_REDIS_PORT"])
dramatiq.set_broker(RedisBroker(port=_PORT))  # type: ignore[no-untyped-call] # dramatiq's is untyped
_redis = redis.Redis(port=_PORT)


@dramatiq.actor(queue_name="audio-generation")
def narrate(job: str) -> None:
    """Tells and ends."""
    for percentage in (10, 30, 90, 100):
        _redis.publish("plain:jobs", f'{{"jobId":"{job}","stage":"start","percentage":{percentage}}}')
    _redis.publish("plain:jobs", f'audio:complete {{"jobId":"{job}"}}')
