"""The SSE form of a reader (WHATWG HTML, server-sent events): a cursor that is pushed along.

A stream is the protocol of its connection, and nothing else lives as long as it: no task, no queue, no timer. Flows:

- *live*: it has caught up; the hub writes to it what comes.
- *behind*: a task reads what lies past its cursor, from the ring or the log, and writes it, until it has caught up.
- *paused*: the client does not read. Nothing is written and nothing gathered; the stream is then behind, and when the
  client reads on it catches up. It is cut off when that takes too long.
- *ends*: with its client, with its credential, with its process; what it held is given back in that moment.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import structlog
from redis.exceptions import RedisError

from app.auth.credential import Identity
from app.core.eventlog.cursor import Cursor
from app.core.eventlog.log import LogEntry
from app.core.settings import Settings
from app.core.telemetry.metrics import COUNTS, RESETS, RESUMES, STREAMS_CLOSED
from app.streaming import wire
from app.streaming.drain import Drain
from app.streaming.hub import Hub
from app.streaming.reader import Gone, Reader
from app.streaming.revocation import CredentialWatcher, StreamCredential
from app.streaming.slots import StreamSlots
from app.streaming.snapshot import Snapshots
from app.streaming.snapshot_writer import NONE, SnapshotWriter
from app.streaming.status_broadcast import StatusBroadcaster
from app.streaming.timer_wheel import TICK, TimerWheel

_REAUTH_SECONDS = 30.0
_JITTER = 0.1
_MAX_UNREAD = 64 * 1024


class Streams:
    """The streams of this process, and what all of them need."""

    def __init__(
        self,
        settings: Settings,
        hub: Hub,
        guard: CredentialWatcher,
        places: StreamSlots,
        drain: Drain,
        snapshots: Snapshots,
        bulletin: StatusBroadcaster,
    ) -> None:
        self.hub = hub
        self.guard = guard
        self.places = places
        self.drain = drain
        self.snapshots = snapshots
        self.bulletin = bulletin
        self.wheel = TimerWheel()
        self.heartbeat = settings.heartbeat_seconds
        self.ready = wire.ready_template(self.heartbeat)
        self.patience = settings.send_timeout_seconds
        self.tasks: set[asyncio.Task[None]] = set()
        self.loop = asyncio.get_running_loop()
        self.logger = structlog.get_logger().bind()  # a lazy one looks itself up for each line

    async def open(self, identity: Identity, after: Cursor | None, projects: frozenset[str]) -> Stream:
        """A stream that has its place and its subscription, from `after` on or from now on; it must be given a
        connection, or released.

        Raises TooMany, Unavailable (`too_many_streams`); Unavailable (`redis_unavailable`); RedisError.
        """
        user, lease = identity.user, self.guard.hold(identity)
        try:
            reader = await self.hub.enter(user)
            try:
                return await self._placed(reader, lease, after, projects, identity.seconds_left)
            except BaseException:
                self.hub.leave(reader)
                raise
        except BaseException:
            self.guard.release(lease)
            raise

    async def _placed(
        self,
        reader: Reader,
        lease: StreamCredential,
        after: Cursor | None,
        projects: frozenset[str],
        seconds_left: float,
    ) -> Stream:
        """With its place. What is pushed is heard by now, so nothing is missed after the top that is told with it."""
        known = reader.known
        top = await self.places.acquire(reader.user)
        try:
            stands = await (reader.top() if top is None else reader.read_top(top, known))
            return Stream(self, reader, lease, after or stands, projects, seconds_left, after is not None)
        except BaseException:
            self.places.release(reader.user)
            raise


class Stream(asyncio.Protocol):
    """One stream."""

    __slots__ = (
        "_catching", "_closed", "_connections", "_cursor", "_ends", "_lease", "_leaves", "_opened", "_paused",
        "_projects", "_reader", "_reason", "_resetting", "_resumes", "_spoke", "_streams", "_told",
        "_transport", "_unread", "live", "request", "slot", "watches",
    )  # fmt: skip

    def __init__(
        self,
        streams: Streams,
        reader: Reader,
        lease: StreamCredential,
        cursor: Cursor,
        projects: frozenset[str],
        seconds_left: float,
        resumes: bool,
    ) -> None:
        now = streams.loop.time()
        self._streams = streams
        self._reader = reader
        self._lease = lease
        self._cursor = cursor
        self._projects = projects
        self._ends = now + seconds_left
        self._spoke = now
        self._leaves: float | None = None
        self._paused: float | None = None
        self._told = False  # that its credential is about to end
        self._transport: asyncio.Transport | None = None
        self._connections: set[object] | None = None
        self._catching = False
        self._resetting: SnapshotWriter = NONE
        self._closed = False
        self._unread = 0
        self._opened: float | None = None
        self._reason = "client"  # why it ended
        self._resumes = resumes
        self.request = ""
        """Id of the request that opened it, for the log."""
        self.watches = False
        """Whether it is also to say how the service is; to be set before it begins."""
        self.live = False
        self.slot = 0

    def begin(self, transport: asyncio.Transport, connections: set[object], paused: bool, head: bytes) -> None:
        """Takes a connection over; `head`: what is still to be sent of the answer's. `connections` are the server's."""
        self._transport, self._connections = transport, connections
        connections.add(self)
        self._count_in()
        if paused:
            self.pause_writing()
        self._write(head + wire.preamble(self._streams.ready, self._cursor))
        self._reader.attach(self)
        self.on_timer()
        if not self._closed:
            self._catch_up()
            if self.watches:
                self._streams.bulletin.add(self)

    def release(self) -> None:
        """Gives back what it holds. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self.live = False
        self._resetting.stop()
        self._streams.wheel.remove(self)
        self._streams.bulletin.discard(self)
        self._reader.detach(self)
        if self._connections is not None:
            self._connections.discard(self)
        self._streams.hub.leave(self._reader)
        self._streams.places.release(self._reader.user)
        self._streams.guard.release(self._lease)
        self._count_out()

    # What the hub says.

    def follow(self, writes: Sequence[wire.EventChunk], now: float) -> None:
        for entries, last, written in writes:
            if self._paused is not None:
                self.live = False
                return
            if self._projects or self._transport is None:
                self._write_wanted(entries)
            else:
                self._transport.write(written)
                self._spoke = now
                COUNTS.sent += len(entries)
            self._cursor = last

    def fell_behind(self) -> None:
        self.live = False
        self._catch_up()

    def on_timer(self) -> None:
        """Does what is due, and asks for its next moment."""
        if self._closed or self._transport is None:
            return
        now = self._streams.loop.time() + TICK
        self._leaves = self._leaves or self._streams.drain.moment()
        if self._lease.revoked:
            self._end("signed_out")
        elif self._lease.must_reconnect or (self._leaves is not None and now >= self._leaves):
            self.goodbye("sign_in_ended" if self._lease.must_reconnect else "draining")
        elif now >= self._ends:
            self._end("credential_expired")
        elif self._paused is not None and now >= self._paused + self._streams.patience:
            self._reason = "stalled"
            self._cut()
        else:
            self._speak(now)
            self._streams.wheel.schedule(self, self._next())

    def goodbye(self, reason: str) -> None:
        """Ends it; its client is to connect anew."""
        if not self._resetting:
            self._write(wire.framed(wire.control("goodbye", {"retryMs": wire.retry_ms()}, retry=wire.retry_ms())))
        self._end(reason)

    def tell(self, written: bytes) -> None:
        if not self._closed and self._paused is None and not self._resetting:
            self._write(written)

    # What the connection says.

    def pause_writing(self) -> None:
        self._paused = self._streams.loop.time()
        self._resetting.pause()
        if self.slot:
            self._streams.wheel.schedule(self, self._next())

    def resume_writing(self) -> None:
        self._paused = None
        self._resetting.resume()
        if not self.live:
            self._catch_up()

    def data_received(self, data: bytes) -> None:
        """Nothing is expected of the client any more; a little is let pass."""
        self._unread += len(data)
        if self._unread > _MAX_UNREAD:
            self._cut()

    def eof_received(self) -> bool:
        """The client sends nothing more, or has gone; to tell which, it is written to twice: for one that has gone the
        first is answered with a reset, of which the second learns."""
        if not self._closed and self._paused is None:
            self._write(wire.HEARTBEAT)
            self._spoke -= self._streams.heartbeat
            self._streams.wheel.schedule(self, self._spoke)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.release()

    def shutdown(self) -> None:
        """The server stops. Where it was told to by a signal, each stream leaves at a moment of its own."""
        if not self._streams.drain.started:
            self.goodbye("draining")

    def _write(self, written: bytes) -> None:
        if written and self._transport is not None:
            self._spoke = self._streams.loop.time()
            self._transport.write(written)

    def _speak(self, now: float) -> None:
        """Says that its credential is about to end, or that it lives, where one of these is due."""
        if self._paused is not None or self._resetting:
            return
        if not self._told and now >= self._ends - _REAUTH_SECONDS:
            self._told = True
            self._write(wire.framed(wire.control("reauth", {"secondsLeft": max(0, round(self._ends - now))})))
        elif now >= self._spoke + self._streams.heartbeat * (1 - _JITTER):
            self._write(wire.HEARTBEAT)

    def _next(self) -> float:
        """The next moment at which something other than an event is due."""
        if self._paused is not None:
            moment = self._paused + self._streams.patience
        else:
            moment = self._spoke + self._streams.heartbeat * (1 - _JITTER * random.random())
        moment = min(moment, self._ends if self._told else self._ends - _REAUTH_SECONDS)
        return moment if self._leaves is None else min(moment, self._leaves)

    def _end(self, reason: str) -> None:
        """Closes the connection in good order; what a client that does not read has not taken is dropped."""
        self._reason = reason
        if self._transport is not None and self._paused is None:
            self._transport.write(wire.LAST_CHUNK)
            if self._transport.get_write_buffer_size():
                self._streams.loop.call_later(self._streams.patience, self._transport.abort)
            self._transport.close()
            self.release()
        else:
            self._cut()

    def _cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self.release()

    def _catch_up(self) -> None:
        """Live where there is nothing to catch up with; else a task sees to it. Where one is at it already, it alone
        says when the stream is live: what it waits for lies past the cursor as it is now."""
        if self._closed or self._catching:
            return
        if self._reader.is_current(self._cursor):
            self.live = True
            self._resumed("exact")
        else:
            self._catching = True
            task = self._streams.loop.create_task(self._read_on())
            self._streams.tasks.add(task)
            task.add_done_callback(self._has_read)

    def _has_read(self, task: asyncio.Task[None]) -> None:
        self._streams.tasks.discard(task)
        if task.cancelled() or task.exception() is not None:
            # The client comes back with its cursor. (What went wrong is raised by the loop's own log.)
            self._reason = "error"
            self._cut()

    async def _read_on(self) -> None:
        """Writes what lies past the cursor until that is the top, or the client does not take more."""
        try:
            while not self._closed and self._paused is None and not self.live:
                await self._read_once()
        finally:
            # At once: whoever falls behind or reads on before the task is seen to have ended needs another.
            self._catching = False

    async def _read_once(self) -> None:
        try:
            entries = await self._reader.page(self._cursor)
            if entries:
                self._resumed("replayed")
                self._take(entries)
            elif self._reader.is_current(self._cursor):
                self._resumed("exact")
                self.live = not self._closed
        except Gone:
            self._resumed("reset")
            RESETS.labels("sse").inc()
            await self._reset()
        except (RedisError, OSError):
            await asyncio.sleep(random.uniform(0.1, 1.0))

    def _take(self, entries: list[LogEntry]) -> None:
        for part, last, written in wire.chunks_of(entries, entries[-1].id):
            if self._closed or self._paused is not None:
                return
            if self._projects:
                self._write_wanted(part)
            else:
                self._write(written)
                COUNTS.sent += len(part)
            self._cursor = last

    async def _reset(self) -> None:
        async with self._streams.snapshots.reading(self._reader.user, self._projects, self._cursor) as snapshot:
            if not self._closed:
                self._resetting = SnapshotWriter(self._write, paused=self._paused is not None)
                self._cursor = await self._resetting.run(snapshot) or self._cursor

    def _write_wanted(self, entries: Sequence[LogEntry]) -> None:
        wanted = [entry for entry in entries if entry.project in self._projects]
        self._write(wire.chunk(wanted))
        COUNTS.sent += len(wanted)

    def _resumed(self, outcome: str) -> None:
        """How it went for a client that came back, told once."""
        if self._resumes:
            self._resumes = False
            RESUMES.labels(outcome).inc()

    def _count_in(self) -> None:
        COUNTS.sse += 1
        self._opened = self._streams.loop.time()
        after = str(self._cursor) if self._resumes else None
        self._streams.logger.info("stream_opened", user=self._reader.user, after=after, projects=len(self._projects))

    def _count_out(self) -> None:
        if self._opened is not None:
            COUNTS.sse -= 1
            STREAMS_CLOSED.labels(self._reason).inc()
            seconds = round(self._streams.loop.time() - self._opened, 1)
            self._streams.logger.info("stream_closed", request=self.request, reason=self._reason, seconds=seconds)
