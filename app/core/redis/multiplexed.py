"""A Redis client whose commands share one connection: what is asked in one turn of the loop goes out in one write.

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

_TOGETHER = 50  # so neither this process nor Redis is busy with them for long


class _MultiplexedConnection(RedisConnection):
    """Answers come in the order of the questions."""

    def __init__(self, patience: float) -> None:
        super().__init__()
        self._patience = patience
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._moved = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def ask(self, command: tuple[Any, ...]) -> asyncio.Future[Any]:
        """Raises ConnectionError where the connection was lost since it was looked at."""
        if not self.is_open:
            # Nothing would ever answer, not even its loss, which has been told.
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
            # What nobody asked for: a server that is full says so, and closes.
            self.fail(reply if isinstance(reply, Exception) else ConnectionError("an answer to nothing"))
            return
        answer = self._asked.popleft()
        if answer.done():
            return  # whoever asked has gone
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
        """One timer for all that is asked: a server that is silent for too long is given up."""
        self._watch = None
        if not self._asked:
            return
        left = self._moved + self._patience - self._loop.time()
        if left <= 0:
            self.fail(TimeoutError("Timeout reading from Redis"))
        else:
            self._watch = self._loop.call_later(left, self._look)


class MultiplexedRedis(Redis):
    """redis-py's client, but for how single commands travel. None of them may block."""

    _pipe: _MultiplexedConnection | None = None
    _opening: asyncio.Task[_MultiplexedConnection] | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        # `SCRIPT LOAD` and the like are two words for the server.
        answer = await self.ask(*args[0].split(" "), *args[1:])
        options.pop("keys", None)  # for a cache, which we do not have
        callback = self.response_callbacks.get(args[0])
        return callback(answer, **options) if callback else answer

    async def ask(self, *command: Any) -> Any:
        """What the server says, as it says it. Raises RedisError."""
        try:
            pipe = self._pipe
            return await (self._ask(command) if pipe is None else pipe.ask(command))
        except (ConnectionError, TimeoutError):
            # As often, and with such pauses, as the client was told to.
            return await self.get_retry().call_with_retry(lambda: self._ask(command), _no_matter)  # type: ignore[union-attr] # it has one

    def register_script(self, script: Any) -> AsyncScript:  # type: ignore[override] # as redis-py's own is
        return _Script(self, script)

    async def ask_all(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What the server says to each, as it says it. Raises RedisError, also for what is refused."""
        pipe = self._pipe
        if pipe is None or not pipe.is_open:
            pipe = await self._open()
        answers = [pipe.ask(command) for command in commands]
        try:
            # Most are there when the first of them is; to wait for each costs less than to gather them.
            return [await answer for answer in answers]
        except BaseException:
            for answer in answers:
                if not answer.cancel() and not answer.cancelled():
                    answer.exception()  # told once is enough
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
        """Whoever comes while it is being opened waits for the same one."""
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
            opening.exception()  # told to all who waited


class _Script(AsyncScript):
    """A Lua script that is asked for by its digest, and sent where the server does not know it."""

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
    """The answer to a command; where the connection is not one of ours, as redis-py has it. Raises RedisError."""
    return await (redis.ask(*command) if isinstance(redis, MultiplexedRedis) else redis.execute_command(*command))


async def ask_all(redis: Redis, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Answers to many commands, asked some hundreds at a time. Raises RedisError."""
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
    """A connection that failed is left; the next try makes another."""
