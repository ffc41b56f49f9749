"""What is written to a connection arrives whole and in order, and nothing empty is written at all."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from app.server.transports import HeadBuffer, Unchunked

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"


class Wire:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        self.writes.append(b"closed")

    @property
    def transport(self) -> asyncio.Transport:
        return cast(asyncio.Transport, self)


@pytest.fixture
def wire() -> Wire:
    return Wire()


async def test_head_that_is_held_is_not_lost_when_another_is_announced(wire: Wire) -> None:
    buffer = HeadBuffer(wire.transport, asyncio.get_running_loop())
    buffer.hold_next()
    buffer.write(b"first head ")
    # The head of a request behind it has come: what is written next is to be taken for a head.
    buffer.hold_next()
    buffer.write(b"first body ")
    buffer.hold_next()
    buffer.write(b"second head ")
    await asyncio.sleep(0)
    buffer.write(b"second body")
    assert b"".join(wire.writes) == b"first head first body second head second body"
    assert len(wire.writes) == 3


async def test_head_goes_with_its_body_or_alone_at_the_end_of_the_turn(wire: Wire) -> None:
    buffer = HeadBuffer(wire.transport, asyncio.get_running_loop())
    buffer.hold_next()
    buffer.write(b"head ")
    buffer.write(b"body")
    assert wire.writes == [b"head body"]
    buffer.hold_next()
    buffer.write(b"head")
    assert wire.writes == [b"head body"]
    await asyncio.sleep(0)
    assert wire.writes == [b"head body", b"head"]


async def test_nothing_that_is_empty_is_written(wire: Wire) -> None:
    loop = asyncio.get_running_loop()
    for transport in (HeadBuffer(wire.transport, loop), Unchunked(wire.transport, in_body=True)):
        transport.write(b"")
    buffer = HeadBuffer(wire.transport, loop)
    buffer.hold_next()
    buffer.write(b"head")
    buffer.write(b"")
    buffer.write(b"")
    Unchunked(wire.transport, in_body=True).write(b"0\r\n\r\n")
    assert wire.writes == [b"head"]


async def test_head_that_is_held_goes_out_before_the_connection_closes(wire: Wire) -> None:
    buffer = HeadBuffer(wire.transport, asyncio.get_running_loop())
    buffer.hold_next()
    buffer.write(b"head")
    buffer.close()
    await asyncio.sleep(0)
    assert wire.writes == [b"head", b"closed"]


def test_chunks_are_taken_off_with_the_field_that_tells_of_them(wire: Wire) -> None:
    transport: Any = Unchunked(wire.transport)
    transport.write(HEAD)
    transport.write(b"5\r\nhello\r\n2\r\n\r\n\r\n")
    transport.write(b"1\r\n!\r\n0\r\n\r\n")
    assert wire.writes == [HEAD.replace(b"transfer-encoding: chunked\r\n", b""), b"hello\r\n", b"!"]


def test_body_whose_size_is_told_passes_as_it_is(wire: Wire) -> None:
    transport = Unchunked(wire.transport)
    transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
    transport.write(b"5\r\nhello\r\n")
    assert wire.writes[1] == b"5\r\nhello\r\n"
