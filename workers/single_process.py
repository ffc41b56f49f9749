"""A single worker process, on Dramatiq's `Worker`, without Dramatiq's command line."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import suppress
from types import FrameType

import dramatiq
from dramatiq.cli import LOGFORMAT

from workers import boot
from workers.core import shutdown

_MAX_SIGNALS = 4096


def run(shutdown_ms: int) -> int:
    """Work until a signal, and return its number; actors have `shutdown_ms` to end.

    Of several signals one that ends the process wins over SIGHUP. Later signals are blocked, for the caller to take.
    """
    logging.basicConfig(level=logging.INFO, format=LOGFORMAT, stream=sys.stderr)
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    logger = logging.getLogger("dramatiq.Worker")
    told, telling = os.pipe()

    def leave(number: int, frame: FrameType | None) -> None:
        shutdown.tell()
        os.write(telling, bytes([number]))

    for number in boot.LEAVING:
        signal.signal(number, leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, boot.LEAVING)
    boot.setup(watched=False)
    # Imported here: actors register with the broker that is set.
    from workers.jobs import actors  # noqa: F401 # for what its import does

    chosen = dramatiq.get_broker()
    chosen.emit_after("process_boot")
    worker = dramatiq.Worker(chosen, worker_threads=1)
    worker.start()
    logger.info("Worker process is ready for action.")
    numbers = os.read(told, 1)
    logger.info("Stopping worker process...")
    worker.stop(timeout=shutdown_ms)
    chosen.close()
    signal.pthread_sigmask(signal.SIG_BLOCK, boot.LEAVING)
    os.set_blocking(told, False)
    with suppress(BlockingIOError):
        numbers += os.read(told, _MAX_SIGNALS)
    return next((number for number in numbers if number != signal.SIGHUP), signal.SIGHUP)
