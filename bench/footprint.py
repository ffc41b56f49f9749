"""`python -m bench.footprint`: what `make run` takes from nothing: time, disk, download, and memory once it is idle.

For each way to install (uv, where it is on PATH or in build/tools, and pip) twice, in a new folder each time: with an
empty cache, then with what the first left there. `--once`: with the first way and an empty cache alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from bench.install import ROOT
from bench.process import Failed, family, free_port

_READY = "#link="
_READY_SECONDS = 600
_IDLE_SECONDS = 20
_STOP_SECONDS = 40
_MB = 1_000_000
_NAMES = {
    "valkey-server": "Redis",
    "redis-server": "Redis",
    "app.cli web": "web",
    "app.cli worker": "worker",
    "voice/voice_program.py": "voice",
    "smartvoice up": "up",
}

console = Console(highlight=False)


class Memory(NamedTuple):
    """What a process has in RAM, in bytes: shared pages by its share in them (PSS), and its own alone (USS)."""

    name: str
    pss: int
    uss: int


def main() -> int:
    """The exit status: 1 where it did not get ready."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true")
    once = parser.parse_args().once
    tools = ROOT / "build" / "tools" / "bin"
    found = shutil.which("uv", path=os.pathsep.join([os.environ["PATH"], str(tools)]))
    ways = [("uv", found), ("pip", None)] if found else [("pip", None)]
    try:
        console.print(f"Download: {_download() / _MB:.0f} MB")
        for name, uv in ways[:1] if once else ways:
            with tempfile.TemporaryDirectory(prefix="footprint-") as folder:
                for caches in ("empty cache",) if once else ("empty cache", "warm cache"):
                    _measure(f"{name}, {caches}", uv, Path(folder))
    except Failed as error:
        console.print(str(error))
        return 1
    return 0


def _measure(title: str, uv: str | None, folder: Path) -> None:
    checkout = folder / "checkout"
    shutil.rmtree(checkout, ignore_errors=True)
    _copy(checkout)
    began = time.monotonic()
    with _running(checkout, _environment(uv, folder)) as root:
        seconds = time.monotonic() - began
        disk = _size(checkout / ".venv") / _MB
        console.print(f"{title}: ready after {seconds:.1f} s, {disk:.0f} MB on disk")
        time.sleep(_IDLE_SECONDS)
        processes = sorted(memory_of(root), key=lambda one: -one.pss)
    for one in processes:
        console.print(f"    {one.name:8} PSS {one.pss / _MB:6.1f} MB   USS {one.uss / _MB:6.1f} MB")
    total = Memory("together", sum(one.pss for one in processes), sum(one.uss for one in processes))
    console.print(f"    {total.name:8} PSS {total.pss / _MB:6.1f} MB   USS {total.uss / _MB:6.1f} MB")


def _download() -> int:
    """Bytes of all packages that `make run` installs, for this Python and machine. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory(prefix="footprint-") as folder:
        words = ["download", "--quiet", "--require-hashes", "--requirement", "requirements/run.lock", "--dest", folder]
        subprocess.run([sys.executable, "-m", "pip", *words], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
        return _size(Path(folder))


def _copy(target: Path) -> None:
    """What git knows of the checkout, as it lies there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def _environment(uv: str | None, folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SMARTVOICE_", "PYTHON"))}
    path = [part for part in kept["PATH"].split(os.pathsep) if not (Path(part) / "uv").exists()]
    if uv:
        path.insert(0, str(Path(uv).parent))
    caches = {"PIP_CACHE_DIR": str(folder / "pip"), "UV_CACHE_DIR": str(folder / "uv")}
    return kept | caches | {"PATH": os.pathsep.join(path)}


@contextmanager
def _running(checkout: Path, environment: Mapping[str, str]) -> Iterator[int]:
    """`make run`, once it is ready: its process' id. Raises Failed."""
    output = checkout / "output"
    with output.open("wb") as file:
        command = ["make", "run", f"PORT={free_port()}"]
        process = subprocess.Popen(
            command, cwd=checkout, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    deadline = time.monotonic() + _READY_SECONDS
    try:
        while _READY not in output.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"make run did not get ready: {output.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(_STOP_SECONDS)


def memory_of(root: int) -> list[Memory]:
    """The memory of a process and of all that it started."""
    found = []
    for pid in family(root):
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if name := next((name for part, name in _NAMES.items() if part in command), ""):
                found.append(Memory(name, *_memory(pid)))
    return found


def _memory(pid: int) -> tuple[int, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return sizes["Pss"], sizes["Private_Clean"] + sizes["Private_Dirty"]


def _size(folder: Path) -> int:
    """Bytes that the files in a folder take on disk."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*") if not path.is_symlink())


if __name__ == "__main__":
    raise SystemExit(main())
