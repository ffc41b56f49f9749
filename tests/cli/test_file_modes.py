"""The data folder is its owner's alone, whatever umask SmartVoice was started with, and whatever lay there before."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from app.cli import file_modes
from tests.stack import Stack


def open_to_others(folder: Path) -> list[str]:
    """What group or others may do anything with and can reach."""
    return [str(path) for path in reachable(folder) if stat.S_IMODE(path.lstat().st_mode) & 0o077]


def reachable(folder: Path) -> Iterator[Path]:
    yield folder
    for path in folder.iterdir():
        if path.is_dir():
            yield from reachable(path)
        elif not path.is_symlink():
            yield path


def test_nobody_else_reads_what_a_running_smartvoice_keeps(stack: Stack) -> None:
    stack.command("user", "add", "umask-reader", "--password-stdin", stdin="a long walk to the lighthouse\n")
    names = {path.name for path in reachable(stack.folder)}
    assert {"secret.key", "redis.sock", "up.lock"} <= names
    assert any(name.endswith(".aof") or name == "appendonly.aof" for name in names)
    assert open_to_others(stack.folder) == []


def test_files_that_an_earlier_version_left_open_are_closed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    logs = folder / "appendonlydir"
    logs.mkdir(parents=True)
    (folder / "storage" / "u-alice").mkdir(parents=True)
    files = [folder / "secret.key", folder / "redis.log", folder / "up.lock", logs / "appendonly.aof.1.incr.aof"]
    foreign = folder / "notes.txt"
    for file in [*files, foreign]:
        file.touch()
        file.chmod(0o644)
    for path in [folder, logs, folder / "storage"]:
        path.chmod(0o755)
    (folder / "redis.conf").symlink_to(foreign)
    file_modes.keep(folder)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in [folder, logs, folder / "storage"]} == {0o700}
    # What is not ours stays as it is; the folder above keeps others out.
    assert stat.S_IMODE(foreign.stat().st_mode) == 0o644


def test_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    file_modes.keep(tmp_path / "new")
    assert open_to_others(tmp_path / "new") == []
