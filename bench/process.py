"""Processes of the benchmark's own: each on a core of its own, its CPU time and memory read from /proc."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

SERVER_CORE = "0"
LOAD_CORE = "1"
ALL_CORES = f"0-{(os.cpu_count() or 1) - 1}"
"""Cores as taskset takes them. What is started would else stay on the load's core, as this process does."""
_TICK = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0


class Failed(Exception):
    """A process did not start; the message has what it printed last."""


class Process:
    """A process that listens on a port and stays on its cores; an async context manager."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        name: str,
        *,
        cores: str = SERVER_CORE,
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        self.port = free_port() if port is None else port
        self._command = ["taskset", "-c", cores, *(word.replace("{port}", str(self.port)) for word in command)]
        self._folder = folder
        self._output = folder / f"{name}.log"
        self._environment = {
            name: value.replace("{port}", str(self.port)) for name, value in (environment or {}).items()
        }
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.pid

    @property
    def output(self) -> str:
        """The last of what it printed."""
        return self._output.read_text(errors="replace")[-2000:] if self._output.exists() else ""

    @property
    def cpu_seconds(self) -> float:
        """CPU time of it and all it started, since each began."""
        return sum(_cpu_seconds(pid) for pid in family(self.pid))

    @property
    def resident_bytes(self) -> int:
        """Memory that it and all it started have in RAM."""
        return sum(_resident_bytes(pid) for pid in family(self.pid))

    async def __aenter__(self) -> Self:
        self._start()
        try:
            await self._wait_for_start()
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._end)

    async def ready(self) -> bool:
        """Whether it serves: here, whether somebody listens on its port."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    async def _wait_for_start(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not await self.ready():
            assert self._running is not None
            if self._running.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{' '.join(self._command[:6])} … did not start: {self.output}")
            await asyncio.sleep(0.05)

    def _start(self) -> None:
        with self._output.open("wb") as output:
            self._running = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env={**_clean_environment(), **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A session of its own, so that the end reaches whatever it started, and nothing else.
                start_new_session=True,
            )

    def _end(self) -> None:
        assert self._running is not None
        with suppress(ProcessLookupError):
            os.killpg(self._running.pid, signal.SIGKILL)
        self._running.wait(_STOP_SECONDS)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def family(pid: int) -> list[int]:
    """A process and all that it started, from whichever of its threads."""
    try:
        lists = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    children = " ".join(lists).split()
    return [pid, *(one for child in children for one in family(int(child)))]


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / _TICK


def _resident_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Rss:")), 0)


def _clean_environment() -> dict[str, str]:
    root = str(Path(__file__).parents[1])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SMARTVOICE_")}
    return {**kept, "PYTHONPATH": root, "LANG": "C.UTF-8"}
