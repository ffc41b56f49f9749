"""The ways in which the voice service of the tests answers: a good one, and those that go wrong in this field."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

from tests.tts_sound import KINDS, encoded, samples_of, sound_of, wav

_HUGE = 1 << 40


@dataclass(frozen=True)
class Call:
    """A request as it came: its headers in lower case, its body as JSON."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def text(self) -> str:
        return str(self.body.get("input", ""))

    @property
    def form(self) -> str:
        return str(self.body.get("response_format", "mp3"))


@dataclass(frozen=True)
class Line:
    """One connection, to write an answer to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.head(status, kind, len(body), **headers)
        self.writer.write(body)
        await self.writer.drain()

    def head(self, status: int, kind: str, length: int, **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {length}"]
        lines += [f"Content-Type: {kind}"] if kind else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())

    async def gone(self) -> None:
        """Returns when the client has closed the connection."""
        try:
            while await self.reader.read(1024):
                pass
        except ConnectionError:
            pass


Way = Callable[[Call, Line], Awaitable[None]]
"""How a request is answered. The connection is closed where it returns with the writer closed."""


async def good(call: Call, line: Line) -> None:
    await line.answer(200, KINDS[call.form], sound_of(call.text, call.form))


def failing(status: int, told: str = "Try again.", **headers: str) -> Way:
    """An error of that status."""

    async def way(call: Call, line: Line) -> None:
        body = json.dumps({"error": {"message": told, "type": "server_error", "code": None}}).encode()
        await line.answer(status, "application/json", body, **headers)

    return way


def busy(retry_after: int | None = None, *, as_date: bool = False) -> Way:
    """429, with the seconds to wait, or the date that they end at by a clock that is an hour slow."""

    async def way(call: Call, line: Line) -> None:
        now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        then = now + timedelta(seconds=retry_after or 0)
        asked = {"Retry_After": format_datetime(then, usegmt=True) if as_date else str(retry_after)}
        dated = {"Date": format_datetime(now, usegmt=True)}
        await failing(429, "Rate limit reached.", **dated, **(asked if retry_after is not None else {}))(call, line)

    return way


def sending(body: bytes, kind: str = "audio/wav") -> Way:
    """200 with that body."""

    async def way(call: Call, line: Line) -> None:
        await line.answer(200, kind, body)

    return way


def truncated(form: str = "", share: float = 0.6, **options: str) -> Way:
    """A complete answer with the first part of a file in it."""

    async def way(call: Call, line: Line) -> None:
        body = encoded(samples_of(call.text), form, **options) if form else sound_of(call.text, call.form)
        await line.answer(200, KINDS[form or call.form], body[: int(len(body) * share)])

    return way


def streamed(told: int) -> Way:
    """A wav file as servers send it that do not know yet how long it will be: in chunks, its header a placeholder."""

    async def way(call: Call, line: Line) -> None:
        line.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nTransfer-Encoding: chunked\r\n\r\n")
        body = wav(samples_of(call.text), told=told)
        for start in range(0, len(body), 8000):
            piece = body[start : start + 8000]
            line.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        line.writer.write(b"0\r\n\r\n")
        await line.writer.drain()

    return way


async def hang(call: Call, line: Line) -> None:
    await line.gone()
    line.writer.close()


async def drip(call: Call, line: Line) -> None:
    """A byte a second."""
    body = sound_of(call.text, call.form)
    line.head(200, KINDS[call.form], len(body))
    for byte in body:
        line.writer.write(bytes([byte]))
        await line.writer.drain()
        await asyncio.sleep(1)


async def reset(call: Call, line: Line) -> None:
    """RST in the middle of the body."""
    await _half(call, line)
    linger = struct.pack("ii", 1, 0)
    line.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    line.writer.transport.abort()


async def cut(call: Call, line: Line) -> None:
    """The connection ends in the middle of the body, as if that were all."""
    await _half(call, line)
    line.writer.close()


async def hang_up(call: Call, line: Line) -> None:
    """The connection ends without an answer."""
    line.writer.close()


async def farewell(call: Call, line: Line) -> None:
    """A good answer on a connection that is then closed without a word."""
    await good(call, line)
    line.writer.close()


async def redirect(call: Call, line: Line) -> None:
    await line.answer(307, "", b"", Location="/v1/audio/speech")


async def huge(call: Call, line: Line) -> None:
    """A wav file that does not end."""
    line.head(200, "audio/wav", _HUGE)
    line.writer.write(wav(b"", told=0xFFFFFFFF))
    while not line.writer.is_closing():
        line.writer.write(bytes(256 * 1024))
        await line.writer.drain()


async def _half(call: Call, line: Line) -> None:
    body = sound_of(call.text, call.form)
    line.head(200, KINDS[call.form], len(body))
    line.writer.write(body[: len(body) // 2])
    await line.writer.drain()


html = sending(b"<!doctype html><title>Welcome</title>", "text/html; charset=utf-8")
empty = sending(b"")
noise = sending(random.Random(1).randbytes(50_000))

WAYS: dict[str, Way] = {
    "good": good,
    "busy": busy(),
    "busy-seconds": busy(1),
    "busy-date": busy(1, as_date=True),
    "500": failing(500),
    "503": failing(503),
    "hang": hang,
    "drip": drip,
    "reset": reset,
    "cut": cut,
    "hang-up": hang_up,
    "farewell": farewell,
    "html": html,
    "empty": empty,
    "noise": noise,
    "truncated": truncated(),
    "truncated-mp3": truncated("mp3"),
    "redirect": redirect,
    "huge": huge,
}
