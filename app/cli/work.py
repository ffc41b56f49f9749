"""The workers as processes of their own: Dramatiq with the actors."""

from __future__ import annotations

import os
import sys

from app.core import garbage

_HAND_BACK_MS = 5000
_LOOK_MS = 250
_RESTART_MS = 500
# What Dramatiq takes from its environment alone, for RabbitMQ: how long it sleeps where there is nothing to do, and how
# soon it looks for its broker again.
_DRAMATIQ = {"dramatiq_worker_timeout": str(_LOOK_MS), "dramatiq_restart_delay": str(_RESTART_MS)}


def work(processes: int) -> int:
    """Runs so many workers until told to stop; the exit status. It ends when one of its processes is killed; a
    supervisor then starts it anew."""
    garbage.hold()  # until each of its processes has started; this one only watches over them
    os.environ.update(_DRAMATIQ)
    # Only now: it looks into its environment as it is imported.
    from dramatiq.cli import main, make_argument_parser

    options = {
        "--processes": processes,
        # Actors need none: see `workers.desk`, which knows how many run at once.
        "--threads": 1,
        "--worker-shutdown-timeout": _HAND_BACK_MS,
    }
    words = [word for name, value in options.items() for word in (name, str(value))]
    # It runs in this process, whose children then find what is imported by now. At SIGHUP it becomes this command anew.
    sys.argv = [sys.executable, "-m", "app.cli", *sys.argv[1:]]
    parser = make_argument_parser()  # type: ignore[no-untyped-call] # Dramatiq's own
    return int(main(parser.parse_args(["workers.broker:setup", "workers.actors", *words])))  # type: ignore[no-untyped-call] # as above
