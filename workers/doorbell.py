"""Dramatiq's Redis broker with a consumer that is woken: by whoever enqueues, and by the end of a job.

As Dramatiq comes, a consumer that found nothing sleeps, longer from time to time: a job pressed on an idle system
starts after a fifth of a second, or a whole one. Here whoever enqueues also publishes the queue's name, and a thread of
the worker rings. Nothing hangs on it: a ring that is lost, or a connection that is cut, leaves a consumer that looks at
Dramatiq's own pace; a ring without a message costs one look. After each cut every consumer looks.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import structlog
from dramatiq import Message
from dramatiq.broker import Broker, Consumer
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.common import compute_backoff, current_millis
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Middleware
from redis.exceptions import NoScriptError, RedisError

from app.core import keys
from app.core.sentinel import blocking

logger = structlog.get_logger()

_SILENCE_SECONDS = 10.0
# Each look is also the sign of life that `heartbeat_timeout` in `workers.broker` waits for.
_HEARING_MS = 3000
_GATHERING_SECONDS = 0.002
_LEAVING_SECONDS = 0.02


class WokenBroker(RedisBroker):
    """A Redis broker with a doorbell, rung at the Redis that the URL `bell` names. Other options are Dramatiq's."""

    def __init__(self, *, bell: str, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call] # dramatiq's is untyped
        self._bell = Doorbell(bell)
        self._ended: dict[str, deque[tuple[str, str]]] = {}
        self.add_middleware(_Leaving(self._bell))

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

    def ended(self, queue: str) -> deque[tuple[str, str]]:
        """What of a queue has ended, how (`ack`, `nack`) and its message's id, and is not told yet."""
        return self._ended.setdefault(queue, deque())

    def dispatch_all(self, queue: str, calls: Sequence[tuple[str, Any]]) -> list[Any]:
        """The answers of Dramatiq's script to some calls, each a command and what it is of; all in one write.

        Raises RedisError.
        """
        script = self.scripts["dispatch"]
        with self.client.pipeline(transaction=False) as pipe:
            for command, value in calls:
                pipe.execute_command("EVALSHA", script.sha, 1, self.namespace, *self._words(command, queue), value)
            answers: list[Any] = pipe.execute(raise_on_error=False)
        for at, answer in enumerate(answers):
            if isinstance(answer, NoScriptError):
                command, value = calls[at]
                answers[at] = script(keys=[self.namespace], args=[*self._words(command, queue), value])
            elif isinstance(answer, Exception):
                raise answer
        return answers

    def close(self) -> None:
        self._bell.stop()
        super().close()

    def _words(self, command: str, queue: str) -> list[Any]:
        """What Dramatiq's script wants to know with each command (see its `dispatch.lua`)."""
        maintain = self._should_do_maintenance(command)
        unpack = self._max_unpack_size()  # type: ignore[no-untyped-call] # as above
        lasting = [self.heartbeat_timeout, self.dead_message_ttl]
        return [command, current_millis(), queue, self.broker_id, *lasting, maintain, unpack]


class _WokenConsumer(_RedisConsumer):
    """Waits for the bell where Dramatiq's would sleep; what has ended it tells as it asks for more, in one write.

    `ack` and `nack` do not block, and do not raise.
    """

    def __init__(self, broker: WokenBroker, queue: str, prefetch: int, timeout: int, bell: Doorbell) -> None:
        # With no time to sleep it returns at once from a look in vain.
        super().__init__(broker, queue, prefetch, 0)  # type: ignore[no-untyped-call] # as above
        self._deaf_ms = timeout
        self._bell = bell
        self._rung = bell.at(queue)
        self._ended = broker.ended(queue)
        self._in_vain = 0

    def __next__(self) -> Any:
        if not self.message_cache:
            # First the bell is stilled, then one looks: what is rung between is heard.
            self._rung.clear()
            room = self.prefetch - self.outstanding_message_count
            self.message_cache = self._exchange(0 if self._bell.leaving else room)
        if self.message_cache:
            self._in_vain = 0
            return super().__next__()  # type: ignore[no-untyped-call] # as above
        if self._rung.wait(self._pause()) and self.outstanding_message_count > self.prefetch // 2:
            # As long as there is enough to do, some more may end meanwhile.
            time.sleep(_GATHERING_SECONDS)
        return None

    def ack(self, message: Any) -> None:
        self._end("ack", message)

    def nack(self, message: Any) -> None:
        self._end("nack", message)

    def requeue(self, messages: Any) -> None:
        """Gives messages back, and rings for them. Raises ConnectionClosed."""
        messages = list(messages)
        try:
            super().requeue(messages)  # type: ignore[no-untyped-call] # as above
            if messages:
                self.broker.client.publish(keys.BELL, self.queue_name)
        except RedisError as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call] # as above

    def close(self) -> None:
        """Tells what has ended since, and gives back what nobody took. Raises ConnectionClosed; a later consumer of
        the queue tells it then."""
        self._exchange(0)
        fetched, self.message_cache = self.message_cache, []
        self.requeue(Message.decode(data) for data in fetched)

    def _pause(self) -> float:
        """Seconds until the next look, should nobody ring."""
        if self._bell.leaving:
            return _LEAVING_SECONDS
        longest = max(_HEARING_MS, self._deaf_ms) if self._bell.hears else self._deaf_ms
        self._in_vain, pause = compute_backoff(self._in_vain, max_backoff=longest)
        return pause / 1000

    def _end(self, how: str, message: Any) -> None:
        self._ended.append((how, message.options["redis_message_id"]))
        self.queued_message_ids.discard(message.message_id)
        self._rung.set()  # there is room for one more

    def _exchange(self, room: int) -> list[bytes]:
        """Tells what has ended, and returns what is fetched: at most `room` messages. Raises ConnectionClosed."""
        ended = [self._ended.popleft() for _ in range(len(self._ended))]
        calls = [*ended, *([("fetch", room)] if room > 0 else [])]
        if not calls:
            return []
        try:
            *_, last = self.broker.dispatch_all(self.queue_name, calls)
        except RedisError as error:
            self._ended.extendleft(reversed(ended))
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call] # as above
        return last if room > 0 else []


class _Leaving(Middleware):
    """Has consumers not sleep any more when their worker leaves, which waits until they see that they are to end."""

    def __init__(self, bell: Doorbell) -> None:
        self._bell = bell

    def before_worker_shutdown(self, broker: Broker, worker: Any) -> None:
        self._bell.leaving = True
        self._bell.ring()


class Doorbell:
    """Listens for rings on a connection and a thread of its own, for ever."""

    def __init__(self, url: str) -> None:
        self.hears = self.leaving = False
        self._url = url
        self._rung: dict[str, threading.Event] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def at(self, queue: str) -> threading.Event:
        """What is set when the bell of `queue` is rung."""
        with self._lock:
            return self._rung.setdefault(queue, threading.Event())

    def ring(self) -> None:
        """At every queue."""
        for rung in list(self._rung.values()):
            rung.set()

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
            self.ring()
