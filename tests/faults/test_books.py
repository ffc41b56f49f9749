"""Books survive: whatever dies or goes away under one, it ends once, with one good file, and leaves nothing over."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from app.cli import embedded_redis
from tests.faults.library import CHAPTERS, Library, stocked
from tests.faults.proxy import Moment, RedisProxy
from tests.faults.rig import Worker
from tests.support import until

_STOPS_SECONDS = 2.5  # two, and the way there
_LONG_TIMES = 400  # a chapter that would be encoded for ten seconds and more
_LONG_SECONDS = 3600.0


async def test_worker_killed_at_chosen_moments_of_a_book() -> None:
    async with stocked(progress_per_second=1000) as (library, first), RedisProxy(_socket(library)) as proxy:
        await first.stop()
        scene = library.scene
        worker = await scene.worker(redis_url=proxy.url, queue_url=scene.rig.redis.url)
        seconds = [chapter["durationSeconds"] for chapter in await library.chapters()]
        half = b'"unitsDone":%d,"unitsTotal":%d' % (int(sum(seconds[:2])), int(sum(seconds)))
        moments: list[tuple[bytes, Moment, int, int]] = [
            (half, "request", 2, 2),  # two parts are kept, two are being encoded
            (b'"stage":"join"', "request", CHAPTERS, 2),
            (b"book:complete", "request", CHAPTERS, 2),  # between upload and commit
            (b"book:complete", "answered", CHAPTERS, 1),  # between commit and acknowledgement
        ]
        for number, (pattern, moment, at_least, attempt) in enumerate(moments, 1):
            await library.rename(f"The Lamp, volume {number}")
            proxy.once(pattern, moment, lambda: worker.send_all(signal.SIGKILL))
            job = await library.begin()
            await until(lambda number=number: proxy.sprung == number)
            worker.wait()
            kept = library.kept()
            assert len(kept) >= at_least
            await worker.restart()
            assert (await library.ended(job))["attempt"] == attempt
            await library.check_one_good_book(job)
            assert kept.items() <= library.kept().items(), "a part that was kept was encoded again"
            assert library.under_way() == []
        await until(lambda: "left_alone" in worker.output)  # the message of the last one came again


async def test_worker_frozen_past_the_lease_of_a_book_is_refused_when_it_wakes() -> None:
    async with stocked() as (library, first), RedisProxy(_socket(library)) as proxy:
        await first.stop()
        scene = library.scene
        frozen = await scene.worker(redis_url=proxy.url, queue_url=scene.rig.redis.url)
        proxy.once(b'"stage":"join"', "request", lambda: frozen.send_all(signal.SIGSTOP))
        job = await library.begin()
        await until(lambda: proxy.sprung)
        kept = library.kept()
        assert len(kept) == CHAPTERS
        await first.restart()
        assert (await library.ended(job))["attempt"] == 2
        before, books = await scene.events(job), library.books()
        frozen.send_all(signal.SIGCONT)
        await until(lambda: "left_alone" in frozen.output)
        assert await scene.events(job) == before
        await library.check_one_good_book(job)
        assert (library.books(), library.kept(), library.under_way()) == (books, kept, [])


async def test_cancelled_book_stops_within_two_seconds_while_it_encodes_and_while_it_joins() -> None:
    async with stocked() as (library, worker):
        await library.lengthen(_LONG_TIMES)
        await _cancel(library, worker, "chapters")
        await library.keep_long_parts(_LONG_SECONDS)
        await _cancel(library, worker, "join")
        assert library.books() == []


async def _cancel(library: Library, worker: Worker, stage: str) -> None:
    before = worker.output.count("left_alone")
    kept = library.kept()
    job = await library.begin()
    await library.at(job, stage)
    assert library.under_way()
    await library.cancel(job)
    cancelled = time.monotonic()
    await until(lambda: worker.output.count("left_alone") > before)
    assert time.monotonic() - cancelled < _STOPS_SECONDS
    assert (await library.ended(job))["state"] == "cancelled"
    assert await library.ends(job) == ["book:cancelled"]
    assert library.under_way() == []
    assert kept.items() <= library.kept().items()


@pytest.mark.parametrize("frozen", [False, True], ids=["its worker runs", "its worker is frozen"])
async def test_project_deleted_while_its_book_is_made_leaves_nothing_behind(frozen: bool) -> None:
    async with stocked() as (library, worker):
        await library.lengthen(_LONG_TIMES)
        job = await library.begin()
        await library.at(job, "chapters")
        if frozen:
            worker.send_all(signal.SIGSTOP)
        await library.delete()
        if frozen:
            assert await library.scene.left_of(library.id) == []
            worker.send_all(signal.SIGCONT)
        deleted = time.monotonic()
        await until(lambda: "left_alone" in worker.output)
        assert time.monotonic() - deleted < _STOPS_SECONDS
        assert await library.ends(job) == ["book:cancelled"]
        assert library.under_way() == []
        await library.gone()


async def test_project_deleted_after_its_worker_died_while_it_saved_the_book_leaves_nothing_behind() -> None:
    async with stocked() as (library, worker):
        await library.keep_long_parts(_LONG_SECONDS)
        job = await library.begin()
        await until(lambda: any("#" in name for name in library.books()))
        worker.kill()
        assert library.books(), "it was to die before the book was whole"
        await library.delete()
        await library.gone()
        assert await library.ends(job) == ["book:cancelled"]


def _socket(library: Library) -> Path:
    return embedded_redis.socket_of(library.scene.rig.folder)
