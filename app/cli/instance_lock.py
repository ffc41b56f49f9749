"""Which SmartVoice runs in a data folder: one at most, and where it is reached."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.cli import file_modes
from app.core.settings import Settings

_LOCK = "up.lock"


class Busy(Exception):
    """The folder or the port is in use or cannot be used; the message says by what and what to do."""


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Holds the data folder: two of us in one folder would start two Redis on one file. Raises Busy."""
    folder = settings.data_dir
    try:
        file_modes.keep(folder)
        opened = file_modes.appended(folder / _LOCK)
    except OSError as error:
        raise Busy(f"{folder.absolute()} cannot be used: {error.strerror}; mend SMARTVOICE_DATA_DIR.") from error
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Busy(f"SmartVoice is running in {folder.absolute()} already.") from error
        lock.truncate(0)
        lock.write(settings.address.encode())
        lock.flush()
        yield


def address_of(settings: Settings) -> str:
    """Where people reach the SmartVoice that runs in the data folder; where none does, what the settings say."""
    return settings.public_url or _address_in(settings.data_dir / _LOCK) or settings.address


def _address_in(path: Path) -> str:
    """What whoever holds the lock has written into it; empty where nobody does, or it cannot be read."""
    try:
        with path.open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return lock.read().decode()
    except OSError:
        pass
    return ""
