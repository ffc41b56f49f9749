"""One connection for all commands: each asker gets its own answer, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError, NoScriptError, ResponseError, TimeoutError

from app.core.redis.client import connect
from app.core.redis.multiplexed import MultiplexedRedis, ask_all
from app.core.settings import Settings


async def connections(redis: Redis, name: str) -> int:
    listed: Any = await redis.client_list()
    return sum(client["name"] == name for client in listed)


async def test_commands_at_once_share_a_connection_and_get_their_own_answers(redis: Redis, settings: Settings) -> None:
    client = connect(settings.redis)
    await client.client_setname("piped")
    answers = await asyncio.gather(*(client.echo(f"word {number}") for number in range(500)))
    assert answers == [f"word {number}".encode() for number in range(500)]
    assert await connections(redis, "piped") == 1
    await client.aclose()


async def test_refused_command_is_told_to_who_asked_and_nobody_else(redis: Redis) -> None:
    await redis.set("a text", "x")
    answers: Any = await asyncio.gather(
        redis.get("a text"),
        redis.lpush("a text", "y"),
        redis.evalsha("0" * 40, 0),
        redis.get("a text"),
        return_exceptions=True,
    )
    assert answers[0] == answers[3] == b"x"
    assert type(answers[1]) is ResponseError
    assert type(answers[2]) is NoScriptError


async def test_command_that_is_given_up_leaves_the_answers_in_order(redis: Redis) -> None:
    given_up = [asyncio.ensure_future(redis.echo(f"lost {number}")) for number in range(20)]
    kept = [asyncio.ensure_future(redis.echo(f"kept {number}")) for number in range(20)]
    await asyncio.sleep(0)
    for task in given_up:
        task.cancel()
    assert await asyncio.gather(*kept) == [f"kept {number}".encode() for number in range(20)]


async def test_many_commands_get_their_answers_in_order_a_cut_in_between_is_told(redis: Redis) -> None:
    words = [f"word {number}".encode() for number in range(1200)]
    assert await ask_all(redis, [("ECHO", word) for word in words]) == words
    assert await ask_all(redis, []) == []
    await redis.set("a text", "x")
    with pytest.raises(ResponseError):
        await ask_all(redis, [("ECHO", "before"), ("LPUSH", "a text", "y"), ("ECHO", "after")])
    # What is left of them belongs to nobody, and takes nobody else's place.
    assert await ask_all(redis, [("ECHO", "next")]) == [b"next"]
    given_up = asyncio.ensure_future(ask_all(redis, [("ECHO", word) for word in words]))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await ask_all(redis, [("ECHO", "last")]) == [b"last"]
    assert given_up.cancelled()
    me = await redis.client_id()
    with pytest.raises(ConnectionError):
        await ask_all(redis, [("CLIENT", "KILL", "ID", str(me), "SKIPME", "no"), *[("ECHO", "never")] * 100])
    assert await ask_all(redis, [("ECHO", "again")]) == [b"again"]


async def test_cut_connection_is_made_good_at_once(redis: Redis, settings: Settings) -> None:
    other = connect(settings.redis)
    for _ in range(5):
        await redis.ping()
        await other.client_kill_filter(_type="normal", skipme=True)
        assert await redis.echo("still there") == b"still there"
    await other.aclose()


async def test_server_that_does_not_answer_is_given_up_and_asked_anew(redis: Redis, settings: Settings) -> None:
    client = connect(settings.redis)
    client.connection_pool.connection_kwargs["socket_timeout"] = 0.2
    await client.ping()
    await redis.client_pause(1000)
    with pytest.raises((TimeoutError, ConnectionError)):
        await client.ping()
    await redis.ping()  # answers when the pause is over
    assert await client.echo("again") == b"again"
    await client.aclose()


async def test_question_on_a_connection_that_is_lost_is_refused_and_not_kept(settings: Settings) -> None:
    client = connect(settings.redis)
    assert isinstance(client, MultiplexedRedis)
    await client.ping()
    pipe = client._pipe
    assert pipe is not None
    pipe.close()
    with pytest.raises(ConnectionError):
        pipe.ask(("PING",))
    assert await client.ping()
    await client.aclose()
