"""The web side as a process of its own, or several: uvicorn with the application."""

from __future__ import annotations

import resource
import signal
import socket
from contextlib import suppress

import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors import Multiprocess

from app.core import gc_tuning
from app.core.addresses import bound
from app.core.settings import Settings
from app.server.connections import ConnectionLimits
from app.server.uvicorn_protocol import ProtocolFactory

_CLOSE_SECONDS = 5
_OTHER_FILES = 1000  # besides connections: Redis, files that are sent, the program itself
_BACKLOG = 4096
_AT_ONCE = 16  # more than that gain nothing, and each is asked in vain where a client comes alone
# A peer that is gone without a word is found after a minute: 30 s of silence, then three questions 10 s apart.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


def serve_web(settings: Settings) -> None:
    """Serves until told to stop, then closes every stream in good order; being told to stop is no failure."""
    config = uvicorn.Config(
        "app.cli.web:application",
        factory=True,
        http=ProtocolFactory(ConnectionLimits.of(settings)),  # type: ignore[arg-type] # it is called, as a class would be
        timeout_keep_alive=round(settings.idle_seconds),
        ws="none",
        workers=settings.web_processes,
        log_level="warning",
        access_log=False,
        server_header=False,
        # uvicorn trusts every proxy on this machine; `app.middleware.trusted_proxies` trusts those of the settings.
        proxy_headers=False,
        backlog=_BACKLOG,
        # Streams have ended by then: see app.streaming.drain.
        timeout_graceful_shutdown=round(settings.drain_seconds) + _CLOSE_SECONDS,
    )
    # uvicorn raises the signal again when it has stopped; by then there is nothing left to do.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    _allow_files(settings.max_streams + settings.max_connections + _OTHER_FILES)
    with listening(settings.host, settings.port) as listener:
        if settings.web_processes > 1:
            Multiprocess(config, sockets=doors(listener)).run()
        else:
            uvicorn.Server(config).run(sockets=doors(listener))


def _allow_files(wanted: int) -> None:
    """Raises this process's limit of open files as far as it may: many systems begin with 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError):  # macOS calls more unlimited than it allows
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def application() -> Starlette:
    """The application, in a process that serves nothing else."""
    gc_tuning.hold()
    from app.main import create_app  # which the other commands here have no need of

    made = create_app()
    gc_tuning.settle()
    return made


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; connections that it accepts inherit its keepalive."""
    listener = bound(host, port)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if option := getattr(socket, name, None):  # not everywhere
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
    listener.listen(_BACKLOG)
    listener.set_inheritable(True)
    return listener


def doors(listener: socket.socket) -> list[socket.socket]:
    """The same listening socket many times over, for a server to listen at them all.

    libuv, which uvloop stands on, lets one client in at each of them in a turn of the loop. Where thousands come in a
    wave, turns are then shared by many: what they ask of Redis leaves together, and its answers come together.
    """
    return [listener, *(listener.dup() for _ in range(_AT_ONCE - 1))]
