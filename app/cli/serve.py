"""The two sides as processes of their own: uvicorn with the application, Dramatiq with the actors."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys

import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors import Multiprocess

from app.core.queue import ACTORS
from app.core.settings import Settings
from app.protocol import Protocol

_CLOSE_SECONDS = 5
_HAND_BACK_MS = 5000
_LOOK_MS = 250
_RESTART_MS = 500
_BACKLOG = 4096
_COLLECT_AFTER = (20_000, 20, 20)
# A peer that is gone without a word is found after a minute: 30 s of silence, then three questions 10 s apart.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


def serve_web(settings: Settings) -> None:
    """Serves until told to stop, then closes every stream in good order; being told to stop is no failure."""
    config = uvicorn.Config(
        "app.cli.serve:application",
        factory=True,
        http=Protocol,
        ws="none",
        workers=settings.web_processes,
        log_level="warning",
        access_log=False,
        server_header=False,
        # uvicorn believes every proxy on this machine; which are believed is a setting, see app.proxies.
        proxy_headers=False,
        backlog=_BACKLOG,
        # Streams have ended by then: see app.events.drain.
        timeout_graceful_shutdown=round(settings.drain_seconds) + _CLOSE_SECONDS,
    )
    # uvicorn raises the signal again when it has stopped; by then there is nothing left to do.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    with listening(settings.host, settings.port) as listener:
        if settings.web_processes > 1:
            Multiprocess(config, sockets=[listener]).run()
        else:
            uvicorn.Server(config).run(sockets=[listener])


def application() -> Starlette:
    """The application, in a process that serves nothing else."""
    from app.main import create_app  # which the other commands here have no need of

    made = create_app()
    # What is there by now stays. Of the rest little is garbage that only a collection finds, and looking for it at the
    # usual pace takes a twentieth of a process with thousands of streams.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    return made


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; connections that it accepts inherit its keepalive."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if option := getattr(socket, name, None):  # not everywhere
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
    listener.bind((host, port))
    listener.listen(_BACKLOG)
    listener.set_inheritable(True)
    return listener


def serve_workers(settings: Settings) -> None:
    """Becomes Dramatiq's own command. It ends when a process of its is killed; a supervisor then starts it anew."""
    options = {
        "--processes": settings.worker_processes,
        # A thread waits while its job runs on the event loop. Each queue has its own: a manuscript is parsed at once,
        # however many chapters are being narrated.
        "--threads": settings.worker_threads * len(ACTORS),
        "--worker-shutdown-timeout": _HAND_BACK_MS,
    }
    words = [word for name, value in options.items() for word in (name, str(value))]
    command = [sys.executable, "-m", "dramatiq", "workers.broker:setup", "workers.actors", *words]
    os.execve(sys.executable, command, os.environ | _dramatiq(settings))


def _dramatiq(settings: Settings) -> dict[str, str]:
    """What Dramatiq takes from its environment alone."""
    return {
        # No more of a queue at once than it may work on: what a busy worker held would wait while others are idle.
        "dramatiq_queue_prefetch": str(settings.worker_threads),
        # How long it sleeps where there is nothing to do, and how soon it looks for its broker again.
        "dramatiq_worker_timeout": str(_LOOK_MS),
        "dramatiq_restart_delay": str(_RESTART_MS),
    }
