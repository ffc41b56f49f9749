"""The log's promises: ids without holes, one step, fencing, ends that are final, and proof of a gap."""

from __future__ import annotations

import asyncio
from itertools import pairwise, repeat

import pytest
from redis.asyncio import Redis

from app.core.errors import Refused
from app.core.eventlog import cursor
from app.core.eventlog.cursor import Cursor
from app.core.eventlog.log import Event, EventLog, JobWrite, LogEntry
from app.core.redis import keys
from app.core.redis.client import decoded
from app.core.settings import Settings
from app.core.vocabulary import NARRATION

USER = "alice"
PROJECT = "p1"


@pytest.fixture(autouse=True)
async def project(redis: Redis) -> None:
    await redis.hset(keys.project(USER, PROJECT), "id", PROJECT)


def begin(job: str, owner: str = "c1", **more: object) -> JobWrite:
    given: dict[str, object] = {
        "user": USER,
        "project": PROJECT,
        "job": job,
        "queue": NARRATION,
        "owner": owner,
        "guard": "new",
        "attempt": "0",
        "events": [Event("audio:progress", '{"n":0}')],
        "fields": {"state": "active", "attempt": "0"},
    }
    return JobWrite(**{**given, **more})  # type: ignore[arg-type] # a dict cannot say which value is which


def step(job: str, attempt: str = "0", **more: object) -> JobWrite:
    return begin(job, "c1", **{"guard": "report", "attempt": attempt, "fields": {"state": "active"}, **more})


async def entries(log: EventLog, after: Cursor = Cursor(0, 0)) -> list[LogEntry]:  # noqa: B008 # a tuple, never changed
    return (await log.read(USER, after, 1000)).entries


async def test_ids_follow_each_other_without_holes_whoever_writes(log: EventLog) -> None:
    await asyncio.gather(*(log.append(begin(f"j{number}", f"c{number}")) for number in range(20)))
    ids = [entry.id for entry in await entries(log)]
    assert [id.seq for id in ids] == list(range(1, 21))
    assert all(first.precedes(second) for first, second in pairwise(ids))


async def test_hash_log_and_push_change_in_one_step(redis: Redis, log: EventLog) -> None:
    async with redis.pubsub() as listener:
        await listener.subscribe(keys.channel(USER))
        await listener.get_message(timeout=5)
        done = await log.append(begin("j1"))
        message = await listener.get_message(timeout=5, ignore_subscribe_messages=True)
    [entry] = await entries(log)
    assert message is not None
    assert LogEntry.from_push(message["data"]) == (entry.id, entry)
    assert str(entry.id) == done.version
    record = decoded(await redis.hgetall(keys.job(USER, "j1")))
    assert (record["version"], record["state"]) == (done.version, "active")


async def test_several_events_of_one_write_stand_next_to_each_other(log: EventLog) -> None:
    await log.append(begin("j1"))
    events = [Event("audio:progress", "{}"), Event("audio:complete", "{}")]
    await log.append(step("j1", events=events, ends=True, fields={"state": "completed"}))
    assert [entry.type for entry in await entries(log)] == ["audio:progress", "audio:progress", "audio:complete"]


async def test_records_change_with_the_events_but_are_never_made_by_them(redis: Redis, log: EventLog) -> None:
    await redis.hset("there", "field", "old")
    await log.append(begin("j1", records={"there": {"field": "new", "more": "x"}, "gone": {"field": "new"}}))
    assert await redis.hgetall("there") == {b"field": b"new", b"more": b"x"}
    assert not await redis.exists("gone")


async def test_write_of_an_older_attempt_is_refused(log: EventLog) -> None:
    await log.append(begin("j1"))
    await log.append(step("j1", "0 active", guard="claim", fields={"state": "active", "attempt": "1"}))
    await log.append(step("j1", "1"))
    with pytest.raises(Refused, match="stale"):
        await log.append(step("j1", "0"))
    assert len(await entries(log)) == 3


async def test_leased_job_is_not_taken_until_its_lease_runs_out(redis: Redis, log: EventLog) -> None:
    await log.append(begin("j1"))
    await log.append(
        step("j1", "0 active", guard="claim", grace_seconds=60, fields={"state": "active", "attempt": "1"})
    )
    again = step("j1", "1 active", guard="claim", fields={"state": "active", "attempt": "2"})
    with pytest.raises(Refused, match="leased"):
        await log.append(again)
    await redis.hset(keys.job(USER, "j1"), "lease", "0")
    await log.append(again)


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
async def test_end_is_final(log: EventLog, state: str) -> None:
    await log.append(begin("j1"))
    end = step("j1", events=[Event("audio:end", "{}")], ends=True, fields={"state": state})
    await log.append(end)
    for late in (end, step("j1"), step("j1", guard="claim"), step("j1", guard="command")):
        with pytest.raises(Refused, match="final"):
            await log.append(late)
    assert len(await entries(log)) == 2


async def test_of_writers_that_race_to_end_a_job_one_wins(log: EventLog) -> None:
    await log.append(begin("j1"))
    end = step("j1", events=[Event("audio:end", "{}")], ends=True, guard="command", fields={"state": "cancelled"})
    done = await asyncio.gather(*(log.append(end) for _ in range(10)), return_exceptions=True)
    assert sum(not isinstance(one, Refused) for one in done) == 1
    assert len(await entries(log)) == 2


async def test_second_job_for_the_same_thing_is_the_first_while_that_is_open(log: EventLog) -> None:
    await log.append(begin("j1"))
    assert (await log.append(begin("j2"))).existing == "j1"
    await log.append(step("j1", ends=True, fields={"state": "completed"}))
    assert (await log.append(begin("j2"))).existing is None


async def test_write_for_what_was_deleted_is_refused(redis: Redis, log: EventLog) -> None:
    with pytest.raises(Refused, match="gone"):
        await log.append(step("never"))
    await redis.delete(keys.project(USER, PROJECT))
    with pytest.raises(Refused, match="gone"):
        await log.append(begin("j1"))
    assert await redis.keys("*") == []


async def test_more_open_jobs_than_allowed_are_refused(redis: Redis, settings: Settings) -> None:
    log = EventLog(redis, settings.model_copy(update={"max_open_jobs": 2}))
    await log.append(begin("j1", "c1"))
    await log.append(begin("j2", "c2"))
    with pytest.raises(Refused, match="full"):
        await log.append(begin("j3", "c3"))


async def test_no_two_writes_bear_the_same_name(redis: Redis, log: EventLog, settings: Settings) -> None:
    await log.append(begin("j1"))
    names = {await redis.hget(keys.job(USER, "j1"), "nonce")}
    for writer in (log, EventLog(redis, settings), EventLog(redis, settings)):
        await writer.append(step("j1", guard="command"))
        names.add(await redis.hget(keys.job(USER, "j1"), "nonce"))
    assert len(names) == 4


async def test_write_that_is_sent_again_after_a_lost_reply_is_done_once(
    redis: Redis, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_writes", repeat("the same"))
    first = await log.append(begin("j1"))
    assert await log.append(begin("j1")) == first
    assert len(await entries(log)) == 1


async def test_reader_at_the_top_misses_nothing(log: EventLog) -> None:
    done = await log.append(begin("j1"))
    page = await log.read(USER, cursor.parse(done.version), 10)
    assert (page.entries, page.whole) == ([], True)


async def test_reader_of_an_empty_log_gets_the_first_event(log: EventLog) -> None:
    top = await log.top(USER)
    assert top.seq == 0
    assert (await log.read(USER, top, 10)).whole
    await log.append(begin("j1"))
    page = await log.read(USER, top, 10)
    assert page.whole
    assert [entry.id.seq for entry in page.entries] == [1]


async def test_trimmed_log_shows_the_gap(redis: Redis, log: EventLog) -> None:
    first = cursor.parse((await log.append(begin("j1"))).version)
    for _ in range(5):
        await log.append(step("j1"))
    await redis.xtrim(keys.log(USER), maxlen=2, approximate=False)
    assert not (await log.read(USER, first, 10)).whole
    assert (await log.read(USER, Cursor(first.epoch, 4), 10)).whole


@pytest.mark.parametrize("whole", [True, False])
async def test_lost_log_begins_a_new_epoch_even_within_the_same_second(
    redis: Redis, log: EventLog, whole: bool
) -> None:
    """Deleted, or all of its events trimmed away: of such a log a reader is given the place before the next epoch."""
    seen = set()
    for number in range(4):
        version = cursor.parse((await log.append(begin(f"j{number}", f"c{number}"))).version)
        assert version.seq == 1
        seen.add(version.epoch)
        if whole:
            await redis.delete(keys.log(USER))
        else:
            await redis.xtrim(keys.log(USER), maxlen=0, approximate=False)
        assert not (await log.read(USER, version, 10)).whole
    assert len(seen) == 4


@pytest.mark.parametrize("ahead", [Cursor(0, 5), Cursor(99_999_999_999, 0), Cursor(99_999_999_999, 7)])
async def test_cursor_that_was_never_given_out_shows_as_a_gap(log: EventLog, ahead: Cursor) -> None:
    await log.append(begin("j1"))
    assert not (await log.read(USER, ahead, 10)).whole


async def test_log_is_trimmed_and_expires(redis: Redis, settings: Settings) -> None:
    log = EventLog(redis, settings.model_copy(update={"log_length": 100}))
    await log.append(begin("j1"))
    for _ in range(400):
        await log.append(step("j1"))
    assert 100 <= await redis.xlen(keys.log(USER)) <= 250
    assert 0 < await redis.pttl(keys.log(USER)) <= settings.log_days * 86400 * 1000
    assert await redis.ttl(keys.job(USER, "j1")) == -1
    await log.append(step("j1", ends=True, fields={"state": "completed"}))
    assert 0 < await redis.ttl(keys.job(USER, "j1")) <= settings.job_days * 86400


@pytest.mark.parametrize(
    "event",
    [
        Event("audio:progress", '{"x":"' + "a" * 20_000 + '"}'),
        Event("audio:progress", "{}\n\nevent: x"),
        Event("audio:progress", "{}\r"),
        Event("audio progress", "{}"),
        Event("audio:progress\n", "{}"),
        Event("", "{}"),
    ],
)
async def test_event_that_is_too_large_or_breaks_its_framing_is_refused(
    redis: Redis, log: EventLog, event: Event
) -> None:
    with pytest.raises(ValueError, match="event"):
        await log.append(begin("j1", events=[event]))
    assert not await redis.exists(keys.job(USER, "j1"))
