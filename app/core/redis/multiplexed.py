"""A Redis client whose commands share one connection; those of one iteration of the event loop are sent in one write.

redis-py's own takes a connection from a pool for each command, with a task's worth of timers and locks; where thousands
of readers come at once, that is most of what they cost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from hiredis import PushNotification
from redis.asyncio import Redis, RedisCluster
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError, NoScriptError, TimeoutError

from app.core.redis.connection import RedisConnection, connect_without_retry

_TOGETHER = 50  # commands in one batch: neither this process nor Redis is busy with them for long


class _MultiplexedConnection(RedisConnection):
    """One connection: replies come in the order of the commands."""

    def __init__(self, patience: float) -> None:
        super().__init__()
        self._patience = patience
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._moved = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def ask(self, command: tuple[Any, ...]) -> asyncio.Future[Any]:
        """Send a command. Raises ConnectionError if the connection was lost meanwhile."""
        if not self.is_open:
            # No reply would ever come; the loss has been reported already.
            raise ConnectionError("the connection was lost")
        answer = self._loop.create_future()
        if not self._asked:
            self._moved = self._loop.time()
        self._asked.append(answer)
        self.send(*command)
        if self._watch is None:
            self._watch = self._loop.call_later(self._patience, self._look)
        return answer

    def on_reply(self, reply: Any) -> None:
        if isinstance(reply, PushNotification):
            return
        if not self._asked:
            # A reply to no command: a server with too many clients says so, and closes.
            self.fail(reply if isinstance(reply, Exception) else ConnectionError("an answer to nothing"))
            return
        answer = self._asked.popleft()
        if answer.done():
            return  # the caller was cancelled
        if isinstance(reply, Exception):
            answer.set_exception(reply)
        else:
            answer.set_result(reply)

    def on_batch_end(self) -> None:
        self._moved = self._loop.time()

    def on_lost(self, error: BaseException) -> None:
        if self._watch is not None:
            self._watch.cancel()
        for answer in self._asked:
            if not answer.done():
                answer.set_exception(error)
        self._asked.clear()

    def _look(self) -> None:
        """Give up a server that is silent for too long; one timer serves all commands."""
        self._watch = None
        if not self._asked:
            return
        left = self._moved + self._patience - self._loop.time()
        if left <= 0:
            self.fail(TimeoutError("Timeout reading from Redis"))
        else:
            self._watch = self._loop.call_later(left, self._look)


class MultiplexedRedis(Redis):
    """redis-py's client with multiplexed single commands. None of them may block."""

    _pipe: _MultiplexedConnection | None = None
    _opening: asyncio.Task[_MultiplexedConnection] | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        # `SCRIPT LOAD` and the like are two words for the server.
        answer = await self.ask(*args[0].split(" "), *args[1:])
        options.pop("keys", None)  # for a client-side cache, which is not used
        callback = self.response_callbacks.get(args[0])
        return callback(answer, **options) if callback else answer

    async def ask(self, *command: Any) -> Any:
        """Return the server's reply, unconverted. Raises RedisError."""
        try:
            pipe = self._pipe
            return await (self._ask(command) if pipe is None else pipe.ask(command))
        except (ConnectionError, TimeoutError):
            # As often, and after such pauses, as the client is configured to.
            return await self.get_retry().call_with_retry(lambda: self._ask(command), _no_matter)  # type: ignore[union-attr] # it has one

    def register_script(self, script: Any) -> AsyncScript:  # type: ignore[override] # as redis-py's own is
        return _Script(self, script)

    async def ask_all(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the server's reply to each command, unconverted. Raises RedisError, also for a refusal."""
        pipe = self._pipe
        if pipe is None or not pipe.is_open:
            pipe = await self._open()
        answers = [pipe.ask(command) for command in commands]
        try:
            # Most replies are there with the first one; awaiting each costs less than gathering them.
            return [await answer for answer in answers]
        except BaseException:
            for answer in answers:
                if not answer.cancel() and not answer.cancelled():
                    answer.exception()  # one report is enough
            raise

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        if self._opening is not None:
            self._opening.cancel()
        if self._pipe is not None:
            self._pipe.close()
        await super().aclose(close_connection_pool)

    async def _ask(self, command: tuple[Any, ...]) -> Any:
        pipe = self._pipe
        if pipe is None or not pipe.is_open:
            pipe = await self._open()
        return await pipe.ask(command)

    async def _open(self) -> _MultiplexedConnection:
        """Return the open connection; callers that come while it is opened wait for the same one."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._opened())
            self._opening.add_done_callback(self._is_open)
        return await asyncio.shield(self._opening)

    async def _opened(self) -> _MultiplexedConnection:
        pool: Any = self.connection_pool
        pipe = _MultiplexedConnection(pool.connection_kwargs["socket_timeout"])
        await pipe.open(connect_without_retry(pool.connection_class, pool.connection_kwargs))
        self._pipe = pipe
        return pipe

    def _is_open(self, opening: asyncio.Task[_MultiplexedConnection]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # reported to all that waited


class _Script(AsyncScript):
    """A Lua script, called by its digest, and sent if the server does not know it."""

    def __init__(self, redis: MultiplexedRedis, script: str | bytes) -> None:
        super().__init__(redis, script)
        self._redis = redis

    async def __call__(self, keys: Any = (), args: Iterable[Any] | None = None, client: Any = None) -> Any:
        words = (len(keys), *keys, *(args or ()))
        try:
            return await self._redis.ask("EVALSHA", self.sha, *words)
        except NoScriptError:
            return await self._redis.ask("EVAL", self.script, *words)


async def ask(redis: Redis | RedisCluster, *command: Any) -> Any:
    """Return the reply to a command; from another client, as redis-py converts it. Raises RedisError."""
    return await (redis.ask(*command) if isinstance(redis, MultiplexedRedis) else redis.execute_command(*command))


async def ask_all(redis: Redis, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return the replies to many commands, sent in batches. Raises RedisError."""
    answers: list[Any] = []
    for part in (commands[at : at + _TOGETHER] for at in range(0, len(commands), _TOGETHER)):
        if isinstance(redis, MultiplexedRedis):
            answers += await redis.ask_all(part)
        else:
            async with redis.pipeline(transaction=False) as pipe:
                for command in part:
                    pipe.execute_command(*command)
                answers += await pipe.execute()
    return answers


async def _no_matter(error: Exception) -> None:
    """Do nothing between two tries: the next one opens another connection."""
