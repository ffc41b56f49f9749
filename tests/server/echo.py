"""A small application on the real protocol, and raw sockets to talk to it: what was read as a request, and what was
answered."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn
import uvloop
from starlette.types import Message, Receive, Scope, Send

from app.server.connections import ConnectionLimits
from app.server.uvicorn_protocol import ProtocolFactory, StrictHttpProtocol

_SECONDS = 20.0


@dataclass(frozen=True)
class Request:
    """A request that the application has read to its end."""

    method: str
    path: str
    body: bytes
    headers: list[tuple[bytes, bytes]]


@dataclass
class Echo:
    """Answers each request with its body; `/slow…` only once `released` is set."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    """Paths of all requests whose head was taken."""
    left: list[str] = field(default_factory=list)
    """Paths of those whose client was seen to leave."""
    released: threading.Event = field(default_factory=threading.Event)
    received: int = 0
    """Bytes that the server has read from all connections."""
    lost: int = 0
    """Connections that have ended."""
    sockets: list[socket.socket] = field(default_factory=list)
    """The clients' ends of all connections."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.begun.append(path)
        body, message = b"", await receive()
        while message["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
            message = await receive()
        if message["type"] == "http.disconnect":
            self.left.append(path)
            return
        self.requests.append(Request(scope["method"], path, body, scope["headers"]))
        if path.startswith("/slow"):
            await self._wait(receive, path)
        await self._answer(send, b"<%b>" % body, sized=not path.startswith("/unsized"))

    async def _wait(self, receive: Receive, path: str) -> None:
        leaving = asyncio.ensure_future(receive())
        releasing = asyncio.ensure_future(asyncio.to_thread(self.released.wait, _SECONDS))
        await asyncio.wait([leaving, releasing], return_when=asyncio.FIRST_COMPLETED)
        if leaving.done() and not releasing.done():
            self.left.append(path)
            self.released.set()
        leaving.cancel()

    async def _answer(self, send: Send, body: bytes, *, sized: bool) -> None:
        fields = [(b"content-length", b"%d" % len(body))] if sized else []
        head: Message = {"type": "http.response.start", "status": 200, "headers": fields}
        await send(head)
        await send({"type": "http.response.body", "body": body[:3], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await send({"type": "http.response.body", "body": body[3:]})


class Talk:
    """A raw connection."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self._lost = echo.lost
        self._socket = socket.create_connection(("127.0.0.1", echo.port), _SECONDS)
        echo.sockets.append(self._socket)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes, piece: int = 0) -> None:
        """Sends; in pieces of that size, each once the server has read the one before it, until it reads no more."""
        for begin in range(0, len(data), piece or len(data) or 1):
            part = data[begin : begin + (piece or len(data))]
            upto = self._echo.received + len(part)
            with suppress(ConnectionError):
                self._socket.sendall(part)
            if piece:
                wait(lambda upto=upto: self._echo.received >= upto or self._echo.lost > self._lost)
            if self._echo.lost > self._lost:
                return

    def finish(self) -> None:
        """Sends nothing more."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def read(self) -> bytes:
        """All that comes until the server closes."""
        found = b""
        with suppress(ConnectionResetError):
            while part := self._socket.recv(65536):
                found += part
        return found

    def read_until(self, end: bytes) -> bytes:
        found = b""
        while end not in found:
            part = self._socket.recv(65536)
            assert part, found
            found += part
        return found

    def reset(self) -> None:
        """Leaves without a word."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._socket.close()

    def close(self) -> None:
        self._socket.close()
        wait(lambda: self._echo.lost > self._lost)


def wait(condition: Any, seconds: float = _SECONDS) -> bool:
    """Whether it came true in that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


@contextmanager
def serving(echo: Echo, limits: ConnectionLimits | None = None, **options: Any) -> Iterator[Echo]:
    """The application on a server in a thread of its own; `options` are uvicorn's."""

    class Counting(StrictHttpProtocol):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            echo.received += len(data)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            echo.lost += 1

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        echo.port = listener.getsockname()[1]
        http: Any = ProtocolFactory(limits or ConnectionLimits(), Counting)
        config = uvicorn.Config(echo, http=http, ws="none", lifespan="off", log_level="error", **options)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: uvloop.run(server.serve([listener])))
        thread.start()
        try:
            assert wait(lambda: server.started)
            yield echo
        finally:
            for client in echo.sockets:
                client.close()
            server.should_exit = True
            thread.join(_SECONDS)
