"""The workers as processes of their own: Dramatiq with the actors."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from importlib import import_module

from app.cli import child_command
from app.core import gc_tuning

_HAND_BACK_MS = 5000
_LOOK_MS = 250
_RESTART_MS = 500
# What Dramatiq takes from its environment alone, for RabbitMQ: how long it sleeps where there is nothing to do, and how
# soon it looks for its broker again.
_DRAMATIQ = {"dramatiq_worker_timeout": str(_LOOK_MS), "dramatiq_restart_delay": str(_RESTART_MS)}


def work(processes: int) -> int:
    """Runs so many workers until told to stop; the exit status. At SIGHUP it becomes this command anew.

    Several are watched over by Dramatiq's command, which ends when one of them is killed; a supervisor then starts it
    anew. A single one is this process itself: that command would be a second one, of 28 MB, that waits for the first.
    """
    gc_tuning.hold()  # until the worker has started
    os.environ.update(_DRAMATIQ)
    command = child_command.command(*sys.argv[1:])
    return _several(processes, command) if processes > 1 else _single(command)


def _several(processes: int, command: list[str]) -> int:
    # Only now: it looks into its environment as it is imported.
    from dramatiq.cli import main, make_argument_parser

    options = {
        "--processes": processes,
        # Actors need none: see `workers.runtime.executor`, which knows how many run at once.
        "--threads": 1,
        "--worker-shutdown-timeout": _HAND_BACK_MS,
    }
    words = [word for name, value in options.items() for word in (name, str(value))]
    # No folders: it would begin with the current one, and run whichever `workers` and `app` are there.
    words.append("--path")
    # It runs in this process, whose children then find what is imported by now.
    sys.argv = command
    if sys.platform == "linux":
        # As before Python 3.14, whose forkserver is one process more for each worker that Dramatiq watches over, and a
        # second that imports everything anew. No thread runs here yet, by which a fork could come at a bad moment.
        multiprocessing.set_start_method("fork")
    parser = make_argument_parser()  # type: ignore[no-untyped-call] # Dramatiq's own
    return int(main(parser.parse_args(["workers.boot:setup", "workers.jobs.actors", *words])))  # type: ignore[no-untyped-call] # as above


def _single(command: list[str]) -> int:
    # By its name: this side knows of the workers no more than that.
    told = import_module("workers.single_process").run(_HAND_BACK_MS)
    if told == signal.SIGHUP:
        # Signals are blocked by now, and stay so until the new command has its own handlers.
        os.execv(command[0], command)
    return 0
