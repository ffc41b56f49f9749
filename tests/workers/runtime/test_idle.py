"""What a worker that has nothing to do goes without."""

from __future__ import annotations

import subprocess
import sys

_LATER = {"numpy", "av", "soundfile", "markdown_it", "typer", "uvicorn"}
"""What jobs need, or the other side."""


def test_worker_loads_what_jobs_need_with_the_first_of_them() -> None:
    told = "import sys, workers.boot, workers.jobs.actors, workers.engines.espeak; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert not _LATER & set(done.stdout.split())


def test_logs_come_without_rich_where_nobody_reads_tracebacks_in_colour() -> None:
    told = (
        "import sys; from app.cli.import_without import import_without\n"
        "import_without({'rich', 'pygments'}, 'structlog')\n"
        "print('rich' in sys.modules); import rich.console; print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
