"""How metrics are shown: each process answers on a socket of its own, and whoever is asked asks all of its machine.

A port that several processes share answers from one of them, whichever it is; so that one gathers. The sockets lie in a
folder that belongs to this installation on this machine and that nobody else may look into. A process that was killed
leaves a socket that refuses: it is taken away. One that does not answer within a second is left out, and counted.

By the same sockets each process tells its health (`GET /health`), which `smartvoice up` asks for.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from app.core.ids import new_id
from app.core.settings import Settings
from app.core.telemetry.metrics import REGISTRY

logger = structlog.get_logger()

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Side = Literal["web", "worker"]

SILENT = ("smartvoice_silent_processes", "Processes of this machine that did not tell their metrics in time.")

_PATIENCE_SECONDS = 1.0
_HEALTH_SECONDS = 5.0
_PID = re.compile(r"-(\d+)")
_HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: " + CONTENT_TYPE.encode() + b"\r\nConnection: close\r\n\r\n"
_REFUSAL = b"HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nConnection: close\r\n\r\n"


class Unsafe(Exception):
    """The folder of the sockets is somebody else's, or others may look into it."""


def folder_of(settings: Settings) -> Path:
    """Where the sockets are: of a name that differs for each data folder, short enough for a socket's path."""
    if settings.metrics_dir:
        return Path(settings.metrics_dir)
    place = hashlib.sha256(str(settings.data_dir.absolute()).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir(), f"smartvoice-{os.getuid()}-{place}")


Examine = Callable[[], Awaitable[str]]
"""What is wrong with a process, in words; nothing where all is well."""


@asynccontextmanager
async def exposed(settings: Settings, side: Side, examine: Examine) -> AsyncIterator[None]:
    """Answers on this process' socket while the context is open; where it cannot, the log says so and nothing else."""

    async def tell(head: bytes) -> bytes:
        return (await examine()).encode() if head.startswith(b"GET /health ") else generate_latest(REGISTRY)

    async def answer_own(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer, tell)

    async with AsyncExitStack() as stack:
        try:
            folder = _prepared(folder_of(settings))
            path = folder / f"{side}-{os.getpid()}.{new_id()[:6]}"
            server = await asyncio.start_unix_server(answer_own, path)
            stack.push_async_callback(_close, server, path)
        except (OSError, Unsafe) as error:
            logger.warning("metrics_unexposed", error=str(error))
        yield


async def gathered(settings: Settings, facts: Iterable[Metric] = ()) -> bytes:
    """The metrics of all processes of this installation on this machine, each with its `process`, and `facts`."""
    families = [*await families_of(settings), *facts]
    registry = CollectorRegistry()
    registry.register(_Fixed(families))
    return generate_latest(registry)


async def families_of(settings: Settings) -> list[Metric]:
    """The same as families, by name. Samples have the label `process`, such as `web-4711`."""
    folder = folder_of(settings)
    sockets = {path.stem: path for path in sorted(folder.iterdir())} if folder.is_dir() else {}
    asked = (_ask(path, "metrics") for path in sockets.values())
    texts = dict(zip(sockets, await asyncio.gather(*asked), strict=True))
    families: dict[str, Metric] = {}
    for process, text in texts.items():
        for family in text_string_to_metric_families(text or ""):
            kept = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            kept.samples += [_of_process(process, sample) for sample in family.samples]
    silent = sum(
        text is None and path.exists() for (_, path), text in zip(sockets.items(), texts.values(), strict=True)
    )
    return [*families.values(), GaugeMetricFamily(*SILENT, silent)]


async def health_of(settings: Settings) -> dict[int, str | None]:
    """What each process of this machine says is wrong with it, by its id; None where it does not answer."""
    folder = folder_of(settings)
    sockets = sorted(folder.iterdir()) if folder.is_dir() else []
    told = await asyncio.gather(*(_ask(path, "health", _HEALTH_SECONDS) for path in sockets))
    # What refused is gone, and its socket with it.
    found = {path: text for path, text in zip(sockets, told, strict=True) if text is not None or path.exists()}
    return {int(number[1]): text for path, text in found.items() if (number := _PID.search(path.stem))}


class _Fixed(Collector):
    """A collector of what was collected already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _of_process(process: str, sample: Sample) -> Sample:
    return sample._replace(labels={**sample.labels, "process": process})


def _prepared(folder: Path) -> Path:
    """Raises Unsafe, OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise Unsafe(f"{folder} is not a folder of ours that nobody else may write to")
    return folder


async def _close(server: asyncio.Server, path: Path) -> None:
    server.close()
    _forget(path)


def _forget(path: Path) -> None:
    """Takes a socket away, and the folder with the last of them."""
    path.unlink(missing_ok=True)
    with suppress(OSError):
        path.parent.rmdir()


async def answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tell: Callable[[bytes], Awaitable[bytes | None]]
) -> None:
    """Answers one request with what `tell` has for its head, 401 where that is None, and closes the connection."""
    with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(_PATIENCE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        text = await tell(head)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            writer.write(_REFUSAL if text is None else _HEAD + text)
            await writer.drain()
    writer.close()


async def _ask(path: Path, what: str, patience: float = _PATIENCE_SECONDS) -> str | None:
    """The metrics or the health of the process at a socket; None where it does not answer."""
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(f"GET /{what} HTTP/1.0\r\n\r\n".encode())
                whole = await reader.read()
            finally:
                writer.close()
    except (ConnectionRefusedError, FileNotFoundError):
        # Its process is gone.
        _forget(path)
        return None
    except (OSError, TimeoutError):
        return None
    head, _, text = whole.partition(b"\r\n\r\n")
    return text.decode() if head else None
