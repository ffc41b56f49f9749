"""The data of each server that may have written a folder: all of it is served, or the server is not started."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from app.cli import embedded_redis
from app.cli.embedded_redis import NoRedis, Server
from app.cli.redis_data_folder import MOVED, RedisDataFolder, Unreadable
from app.cli.redis_process import RedisProcess
from app.core.eventlog import cursor
from app.core.eventlog.log import EventLog
from app.core.redis.client import connect
from app.core.settings import Settings
from tests import data_folders, redis_servers
from tests.programs import program
from tests.stack import environment, free_port
from tests.support import until

_SINGLE = [name for name in data_folders.kept() if name.startswith("redis-6")]
_OTHERS = [
    server
    for server in redis_servers.all_servers()
    if server != embedded_redis.bundled_binary() and embedded_redis.server_of(server).version >= (7, 0)
]
_OLD, _NEW = Server("Redis", (6, 2, 14)), Server("Redis", (8, 2, 3))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, as a socket's path wants it."""
    with tempfile.TemporaryDirectory(prefix="sv-") as name:
        yield Path(name)


@asynccontextmanager
async def served(folder: Path, binary: str = "", **options: str) -> AsyncIterator[Redis]:
    """As `up` starts its Redis: looks into the folder, starts it, takes over. Raises NoRedis where it would not."""
    own = RedisProcess(Settings(data_dir=folder, redis_binary=binary))
    told = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    server = await asyncio.create_subprocess_exec(*own.command, *told, start_new_session=True)
    try:
        async with connect(f"unix://{embedded_redis.socket_of(folder)}") as client:
            await until(lambda: server.returncode is not None or data_folders.answers(client, server))
            if server.returncode is not None:
                raise own.given_up(1)
            await own.took_over(client)
            yield client
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        await server.wait()


async def _is_commands(folder: Path) -> bool:
    return RedisDataFolder(folder).header() is None


@pytest.mark.parametrize("name", data_folders.kept())
async def test_everything_that_a_server_wrote_is_served(name: str, folder: Path) -> None:
    written = data_folders.unpack(name, folder)
    async with served(folder) as redis:
        assert await data_folders.contents(redis) == written
        # From now on any server reads it.
        await until(lambda: _is_commands(folder))
        log = EventLog(redis, Settings(log_length=30))
        last = (await log.read(data_folders.USER, cursor.Cursor(0, 0), 100)).entries[-1].id
        said = cursor.parse((await log.append(data_folders.of_log("report"))).version)
        assert (said.epoch, said.seq) == (last.epoch, last.seq + 1)
        now = await data_folders.contents(redis)
    marked = RedisDataFolder(folder).marked()
    assert marked == embedded_redis.server_of(embedded_redis.server_binary())
    async with served(folder) as redis:
        assert await data_folders.contents(redis) == now


@pytest.mark.parametrize("server", ["redis-server", "valkey-server"])
@pytest.mark.parametrize("name", data_folders.kept())
async def test_no_server_on_path_serves_less_than_was_written(name: str, server: str, folder: Path) -> None:
    binary = shutil.which(server) or program("redis-server", "valkey-server")
    if Path(binary).name != server:
        pytest.skip(f"no {server} here, which is tried where there is one")
    written = data_folders.unpack(name, folder)
    before = _files(folder)
    try:
        async with served(folder, binary) as redis:
            assert await data_folders.contents(redis) == written
    except NoRedis:
        assert _files(folder) == before
        async with served(folder) as redis:
            assert await data_folders.contents(redis) == written


async def test_folder_of_the_bundled_server_is_read_by_others_and_again_by_it(folder: Path) -> None:
    async with served(folder) as redis:
        await redis.set("a", 1)
    for binary in [*_OTHERS, ""]:
        async with served(folder, binary) as redis:
            assert await redis.get("a") == b"1"
            assert RedisDataFolder(folder).header() is None


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("appendonly*"))
        if path.is_file()
    }


def _folder_is_made(folder: Path) -> None:
    (folder / "appendonlydir").mkdir()


def _manifest_is_written(folder: Path) -> None:
    _folder_is_made(folder)
    (folder / "appendonlydir" / "appendonly.aof.manifest").write_text("file appendonly.aof seq 1 type b\n")


def _file_is_moved(folder: Path) -> None:
    _manifest_is_written(folder)
    (folder / "appendonly.aof").rename(folder / "appendonlydir" / "appendonly.aof")


@pytest.mark.parametrize("step", [_folder_is_made, _manifest_is_written, _file_is_moved])
@pytest.mark.parametrize("name", _SINGLE)
async def test_upgrade_that_was_killed_after_any_of_its_steps_goes_on(
    name: str, step: Callable[[Path], None], folder: Path
) -> None:
    written = data_folders.unpack(name, folder)
    step(folder)
    async with served(folder) as redis:
        assert await data_folders.contents(redis) == written


@pytest.mark.parametrize("name", [*_SINGLE, "redis-8.0.6-binary"])
async def test_server_killed_again_and_again_while_it_upgrades_loses_nothing(name: str, folder: Path) -> None:
    written = data_folders.unpack(name, folder)
    for milliseconds in range(0, 40, 4):
        command = RedisProcess(Settings(data_dir=folder)).command
        server = subprocess.Popen(command)
        await asyncio.sleep(milliseconds / 1000)
        server.kill()
        server.wait()
    async with served(folder) as redis:
        assert await data_folders.contents(redis) == written


@pytest.mark.parametrize("name", ["redis-6.2.14-binary", "redis-8.0.6-binary"])
async def test_server_killed_while_it_writes_its_base_anew_loses_nothing(name: str, folder: Path) -> None:
    written = data_folders.unpack(name, folder)
    # So many microseconds for each key: it is at it for long enough.
    async with served(folder, rdb_key_save_delay="100000"):
        await until(lambda: list(folder.rglob("temp-rewriteaof*")))
        assert RedisDataFolder(folder).header()
    async with served(folder) as redis:
        assert await data_folders.contents(redis) == written
        await until(lambda: _is_commands(folder))


async def test_older_redis_does_not_start_empty_on_what_was_upgraded(folder: Path) -> None:
    data_folders.unpack("redis-6.2.14-commands", folder)
    async with served(folder):
        pass
    # No line of it is what such a file begins with (`*`), nor the binary form (`REDIS`): it ends at start.
    assert (folder / "appendonly.aof").read_bytes() == MOVED
    with pytest.raises(
        Unreadable, match=r"written by Valkey 9\.1\..*; Redis 6\.2\.14 would not find it and start empty"
    ):
        RedisDataFolder(folder).options(_OLD)


async def test_folder_whose_data_were_taken_away_is_a_new_one(folder: Path) -> None:
    data_folders.unpack("redis-6.2.14-commands", folder)
    async with served(folder):
        pass
    shutil.rmtree(folder / "appendonlydir")
    async with served(folder) as redis:
        assert await redis.dbsize() == 0


def _refused(folder: Path, server: Server) -> str:
    before = _files(folder)
    with pytest.raises(Unreadable) as refusal:
        RedisDataFolder(folder).options(server)
    assert _files(folder) == before
    return str(refusal.value)


def test_server_that_would_start_empty_or_cannot_read_is_refused(folder: Path) -> None:
    data_folders.unpack("redis-7.0.15-binary", folder / "seven")
    assert "were written by Redis 7.0; Redis 6.2.14 would not find it and start empty" in _refused(
        folder / "seven", _OLD
    )
    data_folders.unpack("valkey-9.0.0-binary", folder / "nine")
    said = _refused(folder / "nine", _NEW)
    assert "were written by Valkey 9 or newer; Redis 8.2.3 cannot read its form" in said
    assert "SMARTVOICE_REDIS_BINARY" in said
    assert "cannot read its form" in _refused(folder / "nine", Server("Valkey", (8, 1, 1)))
    assert RedisDataFolder(folder / "nine").options(Server("Valkey", (9, 0, 0))) == {}


def test_folder_of_which_a_part_would_be_left_out_is_refused(folder: Path) -> None:
    newest = Server("Valkey", (9, 1, 2))
    both, torn, copied = folder / "both", folder / "torn", folder / "copied"
    data_folders.unpack("redis-7.0.15-commands", both)
    data_folders.unpack("redis-6.2.14-commands", both)
    assert "has the data of two servers" in _refused(both, newest)
    (both / "appendonly.aof").write_bytes(b"")  # as Redis 6.2 leaves it that was started and stopped
    assert RedisDataFolder(both).options(newest) == {}
    data_folders.unpack("redis-7.0.15-commands", torn)
    (torn / "appendonlydir" / "appendonly.aof.manifest").unlink()
    assert "no appendonly.aof.manifest any more: a server would start empty" in _refused(torn, newest)
    copied.mkdir()
    (copied / "dump.rdb").write_bytes(b"REDIS0011")
    assert "has a dump.rdb and no append-only file: a server would start empty" in _refused(copied, newest)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"server": "Valkey"}', '{"server": "Valkey", "version": "new"}'])
def test_marker_that_cannot_be_read_is_none(content: str, folder: Path) -> None:
    (folder / "redis.json").write_text(content)
    assert RedisDataFolder(folder).marked() is None


def test_up_stops_with_the_last_words_of_a_server_that_keeps_ending(folder: Path) -> None:
    data_folders.unpack("valkey-8.1.1-commands", folder)
    [base] = (folder / "appendonlydir").glob("*.base.aof")
    base.write_bytes(base.read_bytes().replace(b"HMSET", b"HNONE", 1))
    done = _up(folder)
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "ended 5 times before it served the data in" in said
    assert "error: unknown command 'HNONE'" in said
    assert said.count("HNONE") == 1
    assert "argon2" not in said
    assert "which were written by Redis 7 or newer, or Valkey" in said
    assert not RedisDataFolder(folder).marked()


def test_up_says_that_a_server_does_not_run_here(folder: Path) -> None:
    other = folder / "server"
    other.write_text("#!/bin/sh\necho 'no such library' >&2; exit 127\n")
    other.chmod(0o700)
    done = _up(folder, SMARTVOICE_REDIS_BINARY=str(other))
    assert done.returncode == 1
    assert "does not run here, or is no Redis or Valkey: no such library" in " ".join(done.stderr.split())


def _up(folder: Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli", "up", "--port", str(free_port()), "--data-dir", str(folder)]
    return subprocess.run(
        command, env=environment(settings), cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
