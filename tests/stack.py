"""The whole of SmartVoice as a newcomer starts it: `smartvoice up`, a process of its own."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from app.auth.bearer_tokens import Tokens
from app.auth.keyring import Keyring
from app.core.settings import Settings
from tests.secret_leaks import leaks

_LINK = re.compile(r"(http://\S+/signin#link=\S+)")
_START_SECONDS = 60
_PORTS = (10_000, 32_000)  # below those that Linux lends to connections
_STOP_SECONDS = 40


@dataclass(frozen=True)
class Stack:
    """A running SmartVoice: its address, its one-time link, its folder, the process that watches over it all, and the
    settings it was started with."""

    address: str
    link: str
    folder: Path
    process: subprocess.Popen[bytes]
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Where another `smartvoice` command finds this one."""
        place = {"SMARTVOICE_DATA_DIR": str(self.folder), "SMARTVOICE_PORT": self.address.split(":")[-1]}
        return environment({**self.settings, **place})

    def command(self, *words: str, stdin: str = "") -> str:
        """What `smartvoice …` prints; an error where it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *words],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def token(self, user: str) -> str:
        """As `smartvoice token` prints it, by the same key."""
        keys = Settings(data_dir=self.folder, secret_key=SecretStr(self.settings.get("SMARTVOICE_SECRET_KEY", "")))
        return Tokens(Keyring.of(keys)).sign(user, 3600)

    def children(self) -> list[int]:
        """Every process that belongs to it, by id."""
        return children_of(self.process.pid)


@contextmanager
def running(**settings: str) -> Iterator[Stack]:
    """`smartvoice up --sample` on a free port in a new folder; stopped, as Ctrl-C stops it, at the end."""
    with started([sys.executable, "-m", "app.cli"], Path(tempfile.mkdtemp(prefix="sv-")), settings) as stack:
        yield stack


@contextmanager
def started(smartvoice: Sequence[str], folder: Path, settings: Mapping[str, str]) -> Iterator[Stack]:
    """The same by that command in that folder, which is deleted at the end."""
    port = free_port()
    output = (folder / "up.log").open("w+")
    process = subprocess.Popen(
        [*smartvoice, "up", "--sample", "--port", str(port), "--data-dir", str(folder / "data")],
        env=environment(settings),
        stdout=output,
        stderr=output,
        cwd=folder,
    )
    try:
        link = _wait_for_link(process, folder / "up.log")
        yield Stack(link.partition("/signin")[0], link, folder / "data", process, settings)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(_STOP_SECONDS)
        output.seek(0)
        # The link that `up` prints for its user is the one thing that it may.
        found = [leak for leak in leaks(output.read()) if not _LINK.search(leak)]
        output.close()
        shutil.rmtree(folder)
        assert not found, found


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process' environment without SmartVoice's variables and OpenTelemetry's, and with `settings`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SMARTVOICE_", "OTEL_"))}
    root = str(Path(__file__).parents[1])
    return {**clean, "PYTHONPATH": root, "LANG": "C.UTF-8", **settings}


def free_port() -> int:
    """A port that nobody listens on, and that stays free while its server is away.

    One that the system chooses (`bind` to 0) is of those that it lends to outgoing connections, too: another process,
    or a client that asks whether the server is back, would sooner or later sit on it.
    """
    while True:
        port = random.randrange(*_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _wait_for_link(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while not (match := _LINK.search(log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return match[1]


def children_of(pid: int) -> list[int]:
    """Every process that it has started, from any of its threads, and that those have."""
    children: list[str] = []
    # A thread or a process may end while this looks.
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            children += (thread / "children").read_text().split()
    return [one for child in map(int, children) for one in (child, *children_of(child))]
