"""The two sides as processes of their own: uvicorn with the application, Dramatiq with the actors."""

from __future__ import annotations

import os
import sys

import uvicorn

from app.core.settings import Settings

_CLOSE_SECONDS = 5
_HAND_BACK_MS = 5000


def serve_web(settings: Settings) -> None:
    """Serves until told to stop, then closes every stream in good order."""
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.web_processes,
        log_level="warning",
        access_log=False,
        server_header=False,
        backlog=4096,
        # Streams have ended by then: see app.events.drain.
        timeout_graceful_shutdown=round(settings.drain_seconds) + _CLOSE_SECONDS,
    )


def serve_workers(settings: Settings) -> None:
    """Becomes Dramatiq's own command. It ends when a process of its is killed; a supervisor then starts it anew."""
    options = {
        "--processes": settings.worker_processes,
        "--threads": settings.worker_threads,
        "--worker-shutdown-timeout": _HAND_BACK_MS,
    }
    words = [word for name, value in options.items() for word in (name, str(value))]
    command = [sys.executable, "-m", "dramatiq", "workers.broker:setup", "workers.actors", *words]
    os.execv(sys.executable, command)
