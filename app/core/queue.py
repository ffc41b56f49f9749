"""Handing jobs to the workers: by the name of an actor, so that who enqueues need not know who works."""

from __future__ import annotations

from uuid import uuid4

import dramatiq
import structlog
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis
from redis.exceptions import RedisError

from app.core import keys
from app.core.messages import ASSEMBLY, NARRATION, PARSING, Queue
from app.core.redis import connect

ACTORS: dict[Queue, str] = {
    PARSING: "parse_manuscript",
    NARRATION: "narrate_chapter",
    ASSEMBLY: "assemble_book",
}
"""The actor of each queue. Dramatiq's queues bear the names of ours."""

logger = structlog.get_logger()


def message(queue: Queue, user: str, job: str) -> dramatiq.Message[None]:
    """What a worker is sent: ids, never objects."""
    return dramatiq.Message(
        queue_name=queue,
        actor_name=ACTORS[queue],
        args=(user, job),
        kwargs={},
        options={},
        message_timestamp=current_millis(),
    )


class _Sender(RedisBroker):
    """Dramatiq's broker with a client that does not block: its scripts give answers to be awaited.

    It only enqueues, so what those who fetch find out about the server beforehand does not matter to it.
    """

    def _max_unpack_size(self) -> int:
        return 1000


class WorkQueue:
    """The web side's end of the queue. A job that could not be enqueued is not lost: the reaper finds it."""

    def __init__(self, url: str) -> None:
        self._client = connect(url)
        self._broker = _Sender(  # type: ignore[no-untyped-call] # dramatiq's is untyped
            client=self._client, middleware=[], namespace=keys.QUEUE_NAMESPACE, maintenance_chance=0
        )

    async def enqueue(self, queue: Queue, user: str, job: str) -> None:
        """Hands one job to the workers. Where the broker is away it is logged, and the reaper does it later."""
        id = str(uuid4())
        sent = message(queue, user, job).copy(options={"redis_message_id": id})
        try:
            await self._broker.do_enqueue(queue, id, sent.encode())
            # Nothing hangs on it: who does not hear it looks by itself, a little later.
            await self._client.publish(keys.BELL, queue)
        except (RedisError, OSError) as error:
            logger.warning("enqueue_failed", queue=queue, job=job, error=str(error))

    async def aclose(self) -> None:
        await self._client.aclose()
