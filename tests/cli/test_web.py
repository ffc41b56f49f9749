"""How the web side lets clients in."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import pytest
import uvicorn
import uvloop
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from app.cli.web import doors, listening
from app.server.connections import ConnectionLimits
from app.server.uvicorn_protocol import ProtocolFactory

_CLIENTS = 160


async def _app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Says nothing; nobody asks."""


async def _turns(server: uvicorn.Server) -> int:
    """Turns of the loop until all who waited are in."""
    serving = asyncio.create_task(server.serve(sockets=doors(listener := listening("127.0.0.1", 0))))
    turns = 0
    with ExitStack() as stack:
        address = listener.getsockname()
        for _ in range(_CLIENTS):
            stack.enter_context(socket.create_connection(address, 5))
        async with asyncio.timeout(20):
            while len(server.server_state.connections) < _CLIENTS:
                await asyncio.sleep(0)
                turns += bool(server.server_state.connections)
    server.should_exit = True
    await serving
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 5)
    return turns


def test_many_are_let_in_in_one_turn_of_the_loop_and_nobody_after_the_end() -> None:
    http = ProtocolFactory(ConnectionLimits())
    config = uvicorn.Config(_app, http=http, ws="none", lifespan="off", log_level="warning", timeout_keep_alive=1)  # type: ignore[arg-type] # called as a class
    turns = uvloop.run(_turns(uvicorn.Server(config)))
    assert turns <= _CLIENTS // 8
