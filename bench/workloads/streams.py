"""Workloads a to e: streams that are idle, that are told of something, and that come back."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from bench.load.readers import Reader, Tally, close, connect
from bench.measure import Row, Sending, arrived, folder_of, spending
from bench.payload import FIRST
from bench.server import Server
from bench.smartvoice import SmartVoice

_AT_ONCE = 250
_WARM_UP = 100
_SETTLE_SECONDS = 1.0
_LATEST_MS = 250.0
_BEHIND = 50


class Plan:
    """How large everything is; small for a quick look."""

    def __init__(self, *, small: bool, files: int) -> None:
        self.idle = [200, 500] if small else [1_000, 5_000, 10_000]
        self.idle_seconds = 2.0 if small else 25.0
        self.users = 200 if small else 1_000
        self.rate = 200 if small else 1_000
        # Collections of garbage come every few seconds, and decide about one event in a hundred: so long that each
        # pass has its share of them.
        self.steady_seconds = 2.0 if small else 15.0
        self.seconds = 2.0 if small else 6.0
        self.step_seconds = 1.0 if small else 3.0
        self.rates = [500, 1_000] if small else [2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000]
        self.bisections = 1 if small else 2
        self.tabs = 200 if small else 1_000
        self.returning = 500 if small else 5_000
        self.polls_seconds = 1.0 if small else 4.0
        self.rest_seconds = 2.0 if small else 8.0
        self.jobs = 60 if small else 1_600
        self.single_jobs = 3 if small else 8
        self.characters = 4_000 if small else 40_000
        self._files = files

    def fits(self, server: type[Server], streams: int) -> bool:
        """Whether so many streams have enough open files on this machine."""
        return streams * server.files_per_stream + 200 < self._files


async def idle(kind: type[Server], plan: Plan, build: Path, *, quiet: bool = True) -> list[Row]:
    """(a) Memory of each idle stream, the time to connect them, and, where `quiet`, CPU while nothing happens."""
    rows, tally = [], Tally()
    async with kind.running(folder_of(build, "a", kind.name)) as server:
        close(await connect([server.opening(number) for number in range(_WARM_UP)], tally, 0, at_once=_AT_ONCE))
        await asyncio.sleep(_SETTLE_SECONDS)
        before, readers = server.process.resident_bytes, list[Reader]()
        elapsed = 0.0
        for count in plan.idle:
            if not plan.fits(kind, count):
                rows.append(
                    Row(f"a{count}", kind.name, kind.title, {}, note="more open files than this machine allows")
                )
                continue
            openings = [server.opening(number) for number in range(len(readers), count)]
            try:
                with spending(server.process, server.redis) as spent:
                    readers += await connect(openings, tally, 0, at_once=_AT_ONCE)
            except TimeoutError:
                rows.append(
                    Row(f"a{count}", kind.name, kind.title, {}, note=f"not connected in time {_refusals(tally)}")
                )
                break
            elapsed += spent.seconds
            await asyncio.sleep(_SETTLE_SECONDS)
            figures: dict[str, float | None] = {
                "kb_each": (server.process.resident_bytes - before) / count / 1000,
                "connect_s": elapsed,
            }
            if quiet and count == plan.idle[-1]:
                with spending(server.process, server.redis) as silence:
                    await asyncio.sleep(plan.idle_seconds)
                figures["idle_cpu_percent"] = 100 * silence.server / silence.seconds
            row = Row(f"a{count}", kind.name, kind.title, figures, load=spent.load, note=_refusals(tally))
            row.lost = tally.closed - _WARM_UP - tally.refused
            rows.append(row)
        close(readers)
    return rows


def _refusals(tally: Tally) -> str:
    return f"{tally.refused} times told to come back later" if tally.refused else ""


async def steady(kind: type[Server], plan: Plan, build: Path) -> list[Row]:
    """(b) Many users, each told of something once a second."""
    async with kind.running(folder_of(build, "b", kind.name)) as server:
        return [await _told(server, "b", plan.users, [*range(plan.users)], plan.rate, plan.steady_seconds)]


async def tabs(kind: type[Server], plan: Plan, build: Path) -> list[Row]:
    """(d) One user with very many tabs."""
    async with kind.running(folder_of(build, "d", kind.name)) as server:
        return [await _told(server, "d", 1, [0] * plan.tabs, 20, plan.seconds)]


async def _told(server: Server, workload: str, users: int, streams: list[int], rate: float, seconds: float) -> Row:
    """Events at a steady rate; the first second is not measured."""
    producer = await server.producer(users, fast=False)
    tally, each = Tally(), len(streams) // users
    readers = await connect([server.opening(number) for number in streams], tally, FIRST - 1, at_once=_AT_ONCE)
    sending = Sending(producer, users)
    await sending.run(rate, 1.0)
    await producer.settle()
    await arrived(tally, sending.sent * each, 5.0)
    early, lost, twice = tally.received, tally.lost, tally.duplicated
    tally.clear()
    with spending(server.process, server.redis) as spent:
        await sending.run(rate, seconds)
        await producer.settle()
        await arrived(tally, sending.sent * each - early, 5.0)
    figures = {
        "p50_ms": tally.milliseconds(0.5),
        "p99_ms": tally.milliseconds(0.99),
        "cpu_ms_per_1000": 1e6 * spent.server / max(tally.received, 1),
        "bytes_each": tally.bytes / max(tally.received, 1),
        "events": float(tally.received),
    }
    missing = sending.sent * each - early - tally.received
    close(readers)
    producer.close()
    row = Row(workload, server.name, server.title, figures, load=spent.load)
    row.lost, row.duplicated = max(missing, tally.lost + lost, 0), tally.duplicated + twice
    return row


async def highest(kind: type[Server], plan: Plan, build: Path, known: float | None = None) -> list[Row]:
    """(c) The highest rate at which 99 of 100 events come within 250 ms and none is lost.

    Doubled until it no longer holds (from a quarter of what is `known` of an earlier pass), then halved in between.
    """
    async with kind.running(folder_of(build, "c", kind.name)) as server:
        if isinstance(server, SmartVoice):
            await server.begin_logs(plan.users)
        producer = await server.producer(plan.users, fast=True)
        tally = Tally()
        openings = [server.opening(number) for number in range(plan.users)]
        readers = await connect(openings, tally, FIRST - 1, at_once=_AT_ONCE)
        sending = Sending(producer, plan.users)
        held, failed, best = 0.0, 0.0, Row("c", kind.name, kind.title, {"rate": None})
        for rate in [rate for rate in plan.rates if rate >= (known or 0) / 4]:
            row, holds = await _held(server, sending, producer, tally, readers, rate, plan.step_seconds)
            if not holds:
                failed = rate
                best.note = row.note
                break
            held, best = rate, row
        for _ in range(plan.bisections if failed and held else 0):
            middle = (held + failed) / 2
            row, holds = await _held(server, sending, producer, tally, readers, middle, plan.step_seconds)
            if holds:
                held, best = middle, row
            else:
                failed, best.note = middle, row.note
        best.lost = best.duplicated = 0 if held else best.lost
        close(readers)
        producer.close()
        return [best]


async def _held(
    server: Server,
    sending: Sending,
    producer: object,
    tally: Tally,
    readers: list[Reader],
    rate: float,
    seconds: float,
) -> tuple[Row, bool]:
    before = sending.sent
    tally.clear()
    with spending(server.process, server.redis) as spent:
        kept = await sending.run(rate, seconds)
        came = await arrived(tally, sending.sent - before, 2.0)
    p99 = tally.milliseconds(0.99)
    figures = {"rate": rate, "p99_ms": p99, "cpu_ms_per_1000": 1e6 * spent.server / max(tally.received, 1)}
    row = Row("c", server.name, server.title, figures, load=spent.load)
    row.lost, row.duplicated = tally.lost + (sending.sent - before - tally.received), tally.duplicated
    missed = []
    if kept < 0.95 * rate:
        missed.append(f"at {rate:.0f}/s the generator kept only {kept:.0f}/s")
    if not came or row.lost or row.duplicated:
        missed.append(f"at {rate:.0f}/s {row.lost} events were late or lost")
    if p99 is not None and p99 >= _LATEST_MS:
        missed.append(f"at {rate:.0f}/s p99 was {p99:.0f} ms")
    row.note = "; ".join(missed)
    if missed:
        # What is late comes in before the next rate is tried.
        await arrived(tally, sending.sent - before, 10.0)
    return row, not missed


async def returning(kind: type[Server], plan: Plan, build: Path) -> list[Row]:
    """(e) Very many clients come back at once: with cursors 50 events behind where the server keeps a log, else to be
    connected and no more."""
    async with kind.running(folder_of(build, "e", kind.name)) as server:
        count, tally = plan.returning, Tally()
        close(await connect([server.opening(count) for _ in range(_WARM_UP)], tally, 0, at_once=_AT_ONCE))
        tally.clear()
        after, behind = None, 0
        if isinstance(server, SmartVoice):
            behind = _BEHIND
            await server.fill(count, behind + 10)
            after = f"{server.epoch}-{FIRST + 9}"
        openings = [server.opening(number, after) for number in range(count)]
        left, all_here = count if behind else 0, asyncio.Event()

        def one_here() -> None:
            nonlocal left
            left -= 1
            if not left:
                all_here.set()

        def prepare(reader: Reader) -> None:
            if behind:
                reader.on_reaching(FIRST + 9 + behind, one_here)

        with spending(server.process, server.redis) as spent:
            readers = await connect(openings, tally, FIRST + 9, at_once=count, prepare=prepare)
            connected = time.monotonic()
            if behind:
                async with asyncio.timeout(60):
                    await all_here.wait()
            caught_up = time.monotonic() - connected
        figures: dict[str, float | None] = {"seconds": spent.seconds, "after_last_connected_s": caught_up}
        figures["cpu_s"] = spent.server
        row = Row("e", kind.name, kind.title, figures, load=spent.load)
        row.lost = tally.lost + max(0, count * behind - tally.received)
        row.duplicated = tally.duplicated + max(0, tally.received - count * behind)
        row.note = _refusals(tally) if behind else "reconnects only: what was missed is gone"
        close(readers)
        return [row]
