"""A long job gives its place to another user's at its next checkpoint, and goes on afterwards where it was."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from app.core.aio import cancel_and_wait
from tests.support import until
from workers.runtime import fair_scheduler as scheduling
from workers.runtime.fair_scheduler import JobSlot, Preempted, Scheduler


class Job:
    """A job of `user`: it takes a step whenever it is let, until it is to end; so far it has taken `steps`."""

    def __init__(self, scheduler: Scheduler, user: str) -> None:
        self.user = user
        self.steps = 0
        self.gave_way = self.refused = False
        self.ends = asyncio.Event()
        self.stuck = asyncio.Event()
        self.stuck.set()
        self.slot: JobSlot | None = None
        self._scheduler = scheduler
        self.task = asyncio.create_task(self._run())

    @property
    def has_begun(self) -> bool:
        return self.steps > 0

    async def stands_still(self) -> bool:
        """Whether it takes no step while the others take some."""
        before = self.steps
        for _ in range(20):
            await asyncio.sleep(0)
        return self.steps == before

    async def _run(self) -> None:
        self.slot = await self._scheduler.acquire(self.user)
        if self.slot is None:
            self.refused = True
            return
        try:
            while True:
                self.steps += 1
                await self.stuck.wait()
                await self.slot.checkpoint()
                if self.ends.is_set():
                    return
                await asyncio.sleep(0)
        except Preempted:
            self.gave_way = True
        finally:
            self._scheduler.release(self.slot)


class World:
    def __init__(self, places: int = 1, guests: int = 4, slice_seconds: float = 0.0, patience: float = 60.0) -> None:
        self.scheduler = Scheduler(places, guests, slice_seconds=slice_seconds, patience=patience)
        self.jobs: list[Job] = []

    def job(self, user: str) -> Job:
        self.jobs.append(Job(self.scheduler, user))
        return self.jobs[-1]


@pytest.fixture
async def worlds() -> AsyncIterator[list[World]]:
    made: list[World] = []
    yield made
    for world in made:
        await cancel_and_wait(*(job.task for job in world.jobs))


@pytest.fixture
def world(worlds: list[World]) -> World:
    worlds.append(World())
    return worlds[0]


async def test_long_job_gives_way_to_another_user_s_and_goes_on_afterwards(world: World) -> None:
    long = world.job("alice")
    await until(lambda: long.steps > 3)
    short = world.job("bob")
    short.ends.set()
    await until(short.task.done)
    assert short.has_begun
    before = long.steps
    await until(lambda: long.steps > before + 3)


async def test_one_user_s_own_jobs_wait_for_each_other(world: World) -> None:
    first, second = world.job("alice"), world.job("alice")
    await until(lambda: first.steps > 50)
    assert not second.has_begun
    first.ends.set()
    await until(lambda: second.has_begun)


async def test_two_long_jobs_of_two_users_take_turns(world: World) -> None:
    alice, bob = world.job("alice"), world.job("bob")
    await until(lambda: min(alice.steps, bob.steps) > 20)


async def test_place_goes_to_the_user_who_has_fewest(worlds: list[World]) -> None:
    worlds.append(World(places=2))
    world = worlds[-1]
    alice = [world.job("alice") for _ in range(4)]
    await until(lambda: sum(job.has_begun for job in alice) == 2)
    bob = [world.job("bob") for _ in range(2)]
    await until(lambda: any(job.has_begun for job in bob))
    # One place each: the further ones of both wait.
    going = [job for job in world.jobs if not await job.stands_still()]
    assert sorted(job.user for job in going) == ["alice", "bob"]


async def test_job_begins_though_no_other_comes_to_a_checkpoint(worlds: list[World]) -> None:
    worlds.append(World(patience=0.05))
    stuck = worlds[-1].job("alice")
    stuck.stuck.clear()
    await until(lambda: stuck.has_begun)
    short, other = worlds[-1].job("bob"), worlds[-1].job("carol")
    await until(lambda: short.has_begun and other.has_begun)
    stuck.stuck.set()
    await until(lambda: sum(job.slot is not None and job.slot.is_going for job in (stuck, short, other)) == 1)


async def test_job_of_a_user_who_has_all_places_is_left_to_other_workers(worlds: list[World]) -> None:
    worlds.append(World(patience=0.05))
    worlds[-1].job("alice")
    second = worlds[-1].job("alice")
    await until(second.task.done)
    assert second.refused


async def test_job_that_is_cancelled_while_it_waits_leaves_nothing_behind(world: World) -> None:
    long = world.job("alice")
    await until(lambda: long.has_begun)
    other = world.job("bob")
    await until(lambda: other.has_begun)
    parked = long if await long.stands_still() else other
    await cancel_and_wait(parked.task)
    goes_on = other if parked is long else long
    before = goes_on.steps
    await until(lambda: goes_on.steps > before + 3)
    goes_on.ends.set()
    await until(goes_on.task.done)
    last = world.job("carol")
    await until(lambda: last.has_begun)


async def test_no_job_is_handed_back_before_it_did_more_than_its_earlier_attempt(
    worlds: list[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    worlds.append(World(slice_seconds=1000))
    world = worlds[-1]
    monkeypatch.setattr(Scheduler, "now", lambda _: now)
    monkeypatch.setattr(scheduling, "_HAND_BACK_SECONDS", 5.0)
    slot = await world.scheduler.acquire("alice")
    assert slot is not None
    now = 20.0  # it read what was there already …
    await slot.checkpoint(new_work=False)
    await slot.checkpoint()
    now = 30.0  # … and then voiced for half as long as that took
    bob = world.job("bob")
    task = asyncio.create_task(slot.checkpoint())
    await until(lambda: bob.has_begun)
    now = 100.0
    assert slot.parked_seconds == 70.0
    assert not world.scheduler.hand_one_back()
    bob.ends.set()
    await task
    now = 111.0
    carol = world.job("carol")
    task = asyncio.create_task(slot.checkpoint())
    await until(lambda: carol.has_begun)
    now = 120.0
    assert world.scheduler.hand_one_back()
    with pytest.raises(Preempted):
        await task
    world.scheduler.release(slot)
    assert not world.scheduler.hand_one_back()


async def test_whoever_comes_and_goes_never_more_than_places_and_guests_go_on_and_all_end(worlds: list[World]) -> None:
    worlds.append(World(places=2, guests=2, patience=0.01))
    world, chance = worlds[-1], random.Random(1)
    for _ in range(150):
        job = world.job(chance.choice("abcdef"))
        if chance.random() < 0.3:
            chance.choice(world.jobs).ends.set()
        if chance.random() < 0.2:
            await cancel_and_wait(chance.choice(world.jobs).task)
        await asyncio.sleep(0)
        going = [job for job in world.jobs if job.slot and not job.task.done() and job.slot.is_going]
        assert len(going) <= 4
        assert job.task
    for job in world.jobs:
        job.ends.set()
    await until(lambda: all(job.task.done() for job in world.jobs))
    assert all(job.has_begun or job.refused or job.task.cancelled() for job in world.jobs)
