"""Dramatiq's Redis broker with a consumer that is woken: by whoever enqueues, and by the end of a job.

As Dramatiq comes, a consumer that found nothing sleeps, longer from time to time: a job pressed on an idle system
starts after a fifth of a second, or a whole one. Here whoever enqueues also publishes the queue's name, and a thread of
the worker rings. Nothing hangs on it: a ring that is lost, or a connection that is cut, leaves a consumer that looks at
Dramatiq's own pace; a ring without a message costs one look. After each cut every consumer looks.
"""

from __future__ import annotations

import random
import threading
from typing import Any

import structlog
from dramatiq.broker import Consumer
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.common import compute_backoff
from redis.exceptions import RedisError

from app.core import keys
from app.core.sentinel import blocking

logger = structlog.get_logger()

_SILENCE_SECONDS = 10.0
# Each look is also the sign of life that `heartbeat_timeout` in `workers.broker` waits for.
_HEARING_MS = 3000


class WokenBroker(RedisBroker):
    """A Redis broker with a doorbell, rung at the Redis that the URL `bell` names. Other options are Dramatiq's."""

    def __init__(self, *, bell: str, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call] # dramatiq's is untyped
        self._bell = Doorbell(bell)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        self._bell.start()
        return _WokenConsumer(self, queue_name, prefetch, timeout, self._bell)

    def declare_queue(self, queue_name: str) -> None:
        """Without Dramatiq's second queue for messages that are to wait, of which there are none: a job that is to be
        tried again later is the reaper's."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def close(self) -> None:
        self._bell.stop()
        super().close()


class _WokenConsumer(_RedisConsumer):
    """Waits for the bell where Dramatiq's would sleep."""

    def __init__(self, broker: WokenBroker, queue: str, prefetch: int, timeout: int, bell: Doorbell) -> None:
        # With no time to sleep it returns at once from a look in vain.
        super().__init__(broker, queue, prefetch, 0)  # type: ignore[no-untyped-call] # as above
        self._deaf_ms = timeout
        self._bell = bell
        self._rung = bell.at(queue)
        self._in_vain = 0

    def __next__(self) -> Any:
        # First the bell is stilled, then one looks: what is rung between is heard.
        self._rung.clear()
        found = super().__next__()  # type: ignore[no-untyped-call] # as above
        if found is not None:
            self._in_vain = 0
            return found
        longest = max(_HEARING_MS, self._deaf_ms) if self._bell.hears else self._deaf_ms
        self._in_vain, pause = compute_backoff(self._in_vain, max_backoff=longest)
        self._rung.wait(pause / 1000)
        return None

    def ack(self, message: Any) -> None:
        super().ack(message)  # type: ignore[no-untyped-call] # as above
        self._rung.set()  # there is room for one more

    def requeue(self, messages: Any) -> None:
        messages = list(messages)
        super().requeue(messages)  # type: ignore[no-untyped-call] # as above
        if messages:
            self.broker.client.publish(keys.BELL, self.queue_name)

    def nack(self, message: Any) -> None:
        super().nack(message)  # type: ignore[no-untyped-call] # as above
        self._rung.set()


class Doorbell:
    """Listens for rings on a connection and a thread of its own, for ever."""

    def __init__(self, url: str) -> None:
        self.hears = False
        self._url = url
        self._rung: dict[str, threading.Event] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def at(self, queue: str) -> threading.Event:
        """What is set when the bell of `queue` is rung."""
        with self._lock:
            return self._rung.setdefault(queue, threading.Event())

    def start(self) -> None:
        """Listens from now on. Idempotent."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen_for_ever, name="doorbell", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _listen_for_ever(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except (RedisError, OSError) as error:
                if self.hears:
                    logger.warning("doorbell_lost", error=str(error))
            self.hears = False
            self._stopped.wait(random.uniform(0.1, 1.0))

    def _listen(self) -> None:
        """One connection's life."""
        # It asks by itself whether the server is still there.
        client = blocking(self._url, socket_timeout=5, health_check_interval=_SILENCE_SECONDS)
        with client, client.pubsub() as pubsub:  # type: ignore[no-untyped-call] # redis-py's is untyped
            pubsub.subscribe(keys.BELL)
            while not self._stopped.is_set():
                told = pubsub.get_message(timeout=_SILENCE_SECONDS)
                if told is not None:
                    self._take(told)

    def _take(self, told: dict[str, Any]) -> None:
        if told["type"] == "message":
            if rung := self._rung.get(told["data"].decode()):
                rung.set()
        elif told["type"] == "subscribe":
            self.hears = True
            for rung in list(self._rung.values()):
                rung.set()
