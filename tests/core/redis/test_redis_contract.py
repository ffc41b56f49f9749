"""What SmartVoice relies on within redis-py: these fail first when a new version changes it."""

from __future__ import annotations

import asyncio
from typing import Any

from redis._parsers import BaseParser
from redis.asyncio import Redis
from redis.asyncio.cluster import NodesManager
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from app.core.redis.connection import connect_without_retry


def test_error_replies_become_the_errors_that_callers_expect() -> None:
    """`RedisConnection` has hiredis call this for each error reply."""
    parser: Any = BaseParser
    assert type(parser.parse_error("ERR wrong")) is ResponseError
    assert isinstance(parser.parse_error("NOSCRIPT none"), NoScriptError)
    assert isinstance(parser.parse_error("READONLY replica"), ReadOnlyError)


async def test_open_connection_gives_its_transport_away_and_is_closed_by_hand(redis: Redis) -> None:
    """`RedisConnection.open` takes the transport from the writer; `connection_lost` calls `_close`."""
    pool: Any = redis.connection_pool
    connection: Any = connect_without_retry(pool.connection_class, pool.connection_kwargs)
    await connection.connect()
    transport = connection._writer.transport
    assert isinstance(transport, asyncio.Transport)
    assert callable(transport.set_protocol)
    connection._close()
    assert transport.is_closing()


def test_cluster_learns_anew_which_server_holds_what() -> None:
    """`Cluster.look_about` awaits this."""
    assert asyncio.iscoroutinefunction(NodesManager.initialize)
