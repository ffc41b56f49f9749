"""What docs/run/operations.md says of upgrades and of backups, done to a system that works."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.faults.readers import Crowd, SseReader, logged
from tests.faults.rig import Rig, rigged
from tests.programs import program
from tests.scale.book import Book, check_log, check_readers
from tests.support import until


@pytest.mark.timeout(240)
async def test_restart_of_everything_one_by_one_loses_nothing() -> None:
    async with rigged() as rig:
        webs = [await rig.web(drain_seconds=1) for _ in range(2)]
        workers = [await rig.worker(worker_concurrency=1) for _ in range(2)]
        readers = [SseReader([web.port for web in webs], "alice", rig.token("alice")) for _ in range(6)]
        async with Crowd(readers).reading(), rig.client_of(webs[0], "alice") as http, rig.client as redis:
            book = Book(http)
            await book.make()
            await book.narrate()
            for process in (webs[1], workers[0], webs[0], workers[1]):
                assert await process.stop() == 0
                await process.restart()
            await book.done()
            log = await logged(redis, "alice")
            check_log(log)
            await check_readers(readers, log)
            assert all(reader.controls["goodbye"] for reader in readers)


async def test_worker_that_is_hung_up_with_all_its_processes_begins_anew() -> None:
    async with rigged() as rig:
        worker = await rig.worker()
        worker.send(signal.SIGHUP)
        await until(lambda: "Stopping worker process" in worker.output)
        # As a terminal does that is closed: the process that works is told once more, by it or by its parent.
        worker.send_all(signal.SIGHUP)
        await until(lambda: worker.output.count("ready for action") == 2)
        assert await worker.stop() == 0


async def test_worker_that_is_hung_up_and_then_told_to_end_ends() -> None:
    async with rigged() as rig:
        worker = await rig.worker()
        worker.send(signal.SIGHUP)
        await until(lambda: "Stopping worker process" in worker.output)
        # Whether it still stops, or has begun anew: it ends.
        assert await worker.stop() == 0
        assert worker.output.count("ready for action") <= 2


@pytest.mark.timeout(240)
async def test_backup_of_a_running_system_is_restored_elsewhere_with_its_logs_or_without() -> None:
    program("redis-cli")  # by which deploy/backup asks Redis
    backup = Path(tempfile.mkdtemp(prefix="sv-backup-"))
    try:
        async with rigged() as rig:
            before = await _made_and_backed_up(rig, backup)
        for anew in (False, True):
            async with rigged(backup) as rig:
                if anew:
                    async with rig.client as redis:
                        assert await redis.delete(*[key async for key in redis.scan_iter("sv:*:log")]) == 1
                await _check_restored(rig, *before, anew=anew)
    finally:
        shutil.rmtree(backup)


async def _made_and_backed_up(rig: Rig, backup: Path) -> tuple[str, str, bytes, list[str]]:
    """A narrated book; its id, a reader's cursor from the middle, the sound of a chapter, and the ids of the log."""
    web = await rig.web()
    await rig.worker()
    async with rig.client_of(web, "alice") as http, rig.client as redis:
        book = Book(http, sentences=5)
        await book.make()
        await book.narrate()
        await book.done()
        ids = [told.id for told in await logged(redis, "alice")]
        [first, *_] = (await http.get(f"/api/projects/{book.id}")).json()["chapters"]
        sound = (await http.get(first["audioUrl"])).content
        script = Path(__file__).parents[2] / "deploy" / "backup"
        done = subprocess.run(
            [script, rig.redis.url, rig.settings.data_dir, backup],
            capture_output=True,
            text=True,
            env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        )
        assert done.returncode == 0, done.stderr
        return book.id, ids[len(ids) // 2], sound, ids


async def _check_restored(rig: Rig, project: str, cursor: str, sound: bytes, ids: list[str], *, anew: bool) -> None:
    web = await rig.web()
    await rig.worker()
    reader = SseReader([web.port], "alice", rig.token("alice"), cursor=cursor)
    async with Crowd([reader]).reading(), rig.client_of(web, "alice") as http, rig.client as redis:
        chapters = (await http.get(f"/api/projects/{project}")).json()["chapters"]
        assert (await http.get(chapters[0]["audioUrl"])).content == sound
        book = Book(http, sentences=5)
        await book.make()
        await book.narrate()
        await book.done()
        log = await logged(redis, "alice")
        if anew:
            await until(lambda: reader.cursor == log[-1].id)
            assert reader.controls["reset"] == 1
            assert not {told.id for told in log} & set(ids)
        else:
            # The log goes on where it was: the reader heard exactly what it had missed.
            assert [told.id for told in log][: len(ids)] == ids
            assert len({told.id for told in log}) == len(log)
            await check_readers([reader], log[ids.index(cursor) + 1 :])
