"""What a benchmark counts as a server's: all of its processes, whichever thread started them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from bench.process import family


def test_process_that_a_thread_started_is_of_the_family() -> None:
    started: list[subprocess.Popen[bytes]] = []
    enough = threading.Event()

    def start() -> None:
        started.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
        enough.wait()

    thread = threading.Thread(target=start)
    thread.start()
    try:
        while not started:
            assert thread.is_alive(), "the process could not be started"
        assert started[0].pid in family(os.getpid())
    finally:
        enough.set()
        thread.join()
        for process in started:
            process.communicate(b"\n")
