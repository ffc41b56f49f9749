"""What a feed tells those who follow it."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.eventlog.cursor import Cursor
from app.core.eventlog.log import LogEntry
from app.streaming.feed import Feed
from app.streaming.wire import EventChunk, chunks_of, event


class Follower:
    """Takes what it is told while it is live, which it believes to be, as a stream does, where it stands at the top."""

    def __init__(self, feed: Feed) -> None:
        self.live = True
        self._feed = feed
        self._cursor = feed.top
        self.writes: list[EventChunk] = []
        self.behind = 0

    def follow(self, writes: Sequence[EventChunk], now: float) -> None:
        self.writes += writes
        self._cursor = writes[-1].entries[-1].id

    def fell_behind(self) -> None:
        self.live = self._cursor == self._feed.top
        self.behind += 1

    def on_timer(self) -> None:
        pass


def pushed(seq: int, size: int = 2) -> tuple[Cursor, LogEntry]:
    return LogEntry.from_push(b"7-%d audio:progress p j thin\n%b" % (seq, b"x" * size))


def entry(seq: int, size: int = 2) -> LogEntry:
    return pushed(seq, size)[1]


def followed(top: int) -> tuple[Feed, Follower]:
    feed = Feed(256)
    feed.sync_to(Cursor(7, top))
    follower = Follower(feed)
    feed.followers.add(follower)
    return feed, follower


async def test_what_comes_together_goes_out_in_one_write() -> None:
    feed, follower = followed(4)
    for seq in (5, 6, 7):
        feed.push(*pushed(seq))
    assert follower.writes == []
    feed.deliver()
    [write] = follower.writes
    body = b"".join(event(entry(seq)) for seq in (5, 6, 7))
    assert write.chunk == b"%x\r\n%b\r\n" % (len(body), body)
    assert write.entries[-1].id == feed.top == Cursor(7, 7)


async def test_much_at_once_goes_out_in_parts_that_hold_all_of_it() -> None:
    entries = [entry(seq, size=3000) for seq in range(5, 30)]
    writes = chunks_of(entries, entries[-1].id)
    assert [one for write in writes for one in write.entries] == entries
    assert [write.last for write in writes] == [write.entries[-1].id for write in writes]
    assert max(len(write.entries) for write in writes) <= 3


async def test_push_that_comes_twice_is_told_once() -> None:
    feed, follower = followed(4)
    for seq in (5, 5, 4, 6):
        feed.push(*pushed(seq))
    feed.deliver()
    assert [one.id.seq for write in follower.writes for one in write.entries] == [5, 6]


async def test_gap_in_the_pushes_sends_its_followers_to_the_log() -> None:
    feed, follower = followed(4)
    feed.push(*pushed(5))
    feed.push(*pushed(9))
    feed.deliver()
    assert (follower.live, follower.behind, follower.writes) == (False, 1, [])
    assert feed.after(Cursor(7, 4)) is None


async def test_log_that_begins_anew_sends_its_followers_to_it() -> None:
    feed, follower = followed(4)
    feed.push(*LogEntry.from_push(b"8-1 audio:progress p j full\n{}"))
    feed.deliver()
    assert (follower.live, follower.writes) == (False, [])
    assert feed.after(Cursor(7, 4)) is None


async def test_what_is_held_is_dropped_where_the_log_is_read_further() -> None:
    feed, follower = followed(4)
    feed.push(*pushed(5))
    feed.deliver()
    # A reader that heard of 6 from another process comes before the push does.
    feed.sync_to(Cursor(7, 6))
    assert not follower.live
    feed.push(*pushed(6))
    feed.push(*pushed(7))
    feed.deliver()
    assert feed.after(Cursor(7, 5)) is None
    assert feed.after(Cursor(7, 6)) == [entry(7)]


async def test_places_before_the_first_event_leave_nobody_behind() -> None:
    feed, follower = followed(0)
    feed.sync_to(Cursor(9, 0))
    assert (follower.live, follower.behind) == (True, 0)
    feed.push(*LogEntry.from_push(b"9-1 audio:progress p j full\n{}"))
    feed.deliver()
    assert len(follower.writes) == 1


async def test_log_that_is_read_further_than_was_pushed_sends_the_others_to_the_log() -> None:
    feed, follower = followed(4)
    feed.sync_to(Cursor(7, 6))
    assert follower.behind == 1
    feed.push(*pushed(6))
    feed.deliver()
    assert follower.writes == []


async def test_page_that_was_read_to_the_end_serves_the_next_where_there_is_one() -> None:
    feed = Feed(256)
    feed.readers = 2
    entries = [entry(seq) for seq in (5, 6, 7)]
    feed.refill(entries)
    assert feed.after(Cursor(7, 5)) == entries[1:]
    assert feed.after(Cursor(7, 7)) == []


async def test_of_a_single_reader_nothing_is_held_but_where_the_log_ends() -> None:
    feed = Feed(256)
    feed.readers = 1
    feed.refill([entry(seq) for seq in (5, 6, 7)])
    assert (feed.top, feed.after(Cursor(7, 7)), feed.after(Cursor(7, 5))) == (Cursor(7, 7), [], None)
    feed.push(*pushed(8))
    assert feed.after(Cursor(7, 7)) == [entry(8)]
