"""What SmartVoice relies on within Dramatiq: these fail first when a new version changes it."""

from __future__ import annotations

import inspect
import re
from importlib.resources import files

import dramatiq
import pytest
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker

from app.core.jobs.broker import AsyncRedisBroker, message
from app.core.redis import keys
from app.core.settings import Settings
from app.core.vocabulary import NARRATION

_SCRIPT = files("dramatiq.brokers").joinpath("redis/dispatch.lua").read_text()


def test_dispatch_script_takes_the_arguments_that_the_broker_sends() -> None:
    """`AsyncRedisBroker.command` builds them in this order."""
    names = dict(re.findall(r"^local (\w+) = ARGV\[(\d)\]$", _SCRIPT, re.M))
    assert sorted(names, key=names.__getitem__) == [
        "command",
        "timestamp",
        "queue_name",
        "worker_id",
        "heartbeat_timeout",
        "dead_message_ttl",
        "do_maintenance",
        "max_unpack_size",
    ]
    assert "local namespace = KEYS[1]" in _SCRIPT


def test_dispatch_script_keeps_messages_where_the_broker_looks() -> None:
    """`AsyncRedisBroker.fetched` reads the set of unacknowledged messages, `waiting` the list of a queue."""
    assert 'local acks = namespace .. ":__acks__." .. worker_id' in _SCRIPT
    assert "--   A list of message ids." in _SCRIPT
    for command in ("enqueue", "fetch", "ack", "nack", "requeue"):
        assert f'command == "{command}"' in _SCRIPT


def test_redis_broker_has_what_ours_reads() -> None:
    broker = RedisBroker(url="redis://127.0.0.1:1", middleware=[])  # type: ignore[no-untyped-call] # dramatiq's is untyped
    for name in ("scripts", "broker_id", "dead_message_ttl", "namespace"):
        assert hasattr(broker, name), name


def test_worker_has_what_the_consumers_set() -> None:
    """Dramatiq's own threads are switched off by these; RabbitMQ's consumer takes the place of the work queue."""
    worker = dramatiq.Worker(StubBroker(middleware=[]), worker_threads=1)
    for name in ("consumer_whitelist", "worker_threads", "work_queue", "consumers", "broker"):
        assert hasattr(worker, name), name
    assert "self.worker_threads" in inspect.getsource(dramatiq.Worker.start)


async def test_message_is_never_dropped_by_dramatiqs_blocking_way(settings: Settings) -> None:
    """`actor.send` calls `Broker.enqueue`, whose command an asynchronous client would never send."""
    broker = AsyncRedisBroker(settings.queue)
    try:
        with pytest.raises(RuntimeError, match=r"await WorkQueue\.enqueue"):
            broker.enqueue(message(NARRATION, "alice", "j1"))
        assert not await broker.redis.exists(f"{keys.QUEUE_NAMESPACE}:{NARRATION}")
    finally:
        await broker.aclose()
