"""The rules: what jobs, readers and faults do in a history, and what must be true whenever all is quiet.

One long class, because Hypothesis wants the rules of a machine in one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from app.core.errors import Refused
from app.core.eventlog.cursor import Cursor, parse
from app.core.eventlog.log import LogEntry
from app.core.jobs.models import Job
from app.core.jobs.progress import progress
from app.core.jobs.service import Claim, JobRequest
from app.core.json_model import compact
from app.core.projects.service import ParsedChapter, UploadedManuscript
from app.core.redis import keys
from app.core.vocabulary import NARRATION, PARSING
from tests import reducer
from tests.delivery.readers import NOWHERE, Form, Losses, Reader, jobs_of, short
from tests.delivery.world import World
from tests.support import until

T = TypeVar("T")

UNITS = 100
MAX_READERS = 5

_any = st.integers(0, 9)
_rarely = st.integers(0, 3).map(lambda number: number == 3)
_very_rarely = st.integers(0, 14).map(lambda number: number == 14)


class Delivery(RuleBasedStateMachine):
    """One user's projects, jobs and readers. A rule that picks says which of those that there are."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.user = next(world.users)
        self.credential = world.credential(self.user)
        self.projects: list[str] = []
        self.chapters: list[tuple[str, str]] = []
        self.open: dict[str, Job] = {}
        self.claims: dict[str, Claim] = {}
        self.units: dict[str, int] = {}
        self.late: list[Claim] = []
        self.readers: list[Reader] = []
        self.history: list[LogEntry] = []
        self.losses = Losses()
        self.noted: Cursor | None = None
        self.failed = False

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self.world.run(work)
        except BaseException:
            self.failed = True
            raise

    # What workers and people do.

    @initialize(pick=_any)
    def begin(self, pick: int) -> None:
        self.do(self._create_project())
        if pick:
            self.do(self._claim(0))
            self.do(self._complete(0))

    @precondition(lambda self: len(self.projects) < 3)
    @rule()
    def create_project(self) -> None:
        self.do(self._create_project())

    @precondition(lambda self: self.chapters)
    @rule(pick=_any)
    def start_job(self, pick: int) -> None:
        self.do(self._start_job(pick))

    @precondition(lambda self: len(self.open) > len(self.claims))
    @rule(pick=_any)
    def claim(self, pick: int) -> None:
        self.do(self._claim(pick))

    @precondition(lambda self: self.claims)
    @rule(pick=_any, times=st.integers(1, 8))
    def report(self, pick: int, times: int) -> None:
        self.do(self._report(pick, times))

    @precondition(lambda self: self.claims)
    @rule(pick=_any)
    def enter_next_stage(self, pick: int) -> None:
        self.do(self._enter_next_stage(pick))

    @precondition(lambda self: self.claims)
    @rule(pick=_any)
    def complete(self, pick: int) -> None:
        self.do(self._complete(pick))

    @precondition(lambda self: self.claims)
    @rule(pick=_any)
    def fail(self, pick: int) -> None:
        self.do(self._fail(pick))

    @precondition(lambda self: self.open)
    @rule(pick=_any)
    def cancel(self, pick: int) -> None:
        self.do(self._cancel(pick))

    @precondition(lambda self: self.claims)
    @rule(pick=_any)
    def take_over(self, pick: int) -> None:
        self.do(self._take_over(pick))

    @precondition(lambda self: self.late)
    @rule(pick=_any)
    def write_too_late(self, pick: int) -> None:
        self.do(self._write_too_late(pick))

    # What readers do.

    @rule()
    def note_cursor(self) -> None:
        self.noted = self.do(self._cursor())

    @precondition(lambda self: len(self.readers) < MAX_READERS)
    @rule(form=st.sampled_from(["stream", "poll"]), web=st.integers(0, 1), noted=st.booleans())
    def connect(self, form: Form, web: int, noted: bool) -> None:
        self.do(self._connect(form, web, noted))

    @precondition(lambda self: len(self.readers) < MAX_READERS)
    @rule(form=st.sampled_from(["stream", "poll"]), web=st.integers(0, 1), pick=_any, narrow=st.booleans())
    def connect_from_project(self, form: Form, web: int, pick: int, narrow: bool) -> None:
        self.do(self._connect_from_project(form, web, pick_of(self.projects, pick), narrow))

    @precondition(lambda self: self.readers)
    @rule(pick=_any)
    def switch_form(self, pick: int) -> None:
        reader = pick_of(self.readers, pick)
        self.do(reader.reconnect("poll" if reader.form == "stream" else "stream", reader.web))

    @precondition(lambda self: self.readers)
    @rule(pick=_any)
    def move_to_other_web_process(self, pick: int) -> None:
        reader = pick_of(self.readers, pick)
        self.do(reader.reconnect(reader.form, 1 - reader.web))

    @precondition(lambda self: self.readers)
    @rule(pick=_any)
    def disconnect(self, pick: int) -> None:
        self.do(pick_of(self.readers, pick).disconnect())

    @precondition(lambda self: self.readers)
    @rule(pick=_any)
    def freeze_or_thaw(self, pick: int) -> None:
        reader = pick_of(self.readers, pick)
        self.do(later(reader.thaw if reader.frozen else reader.freeze))

    # What befalls the log and the processes.

    @precondition(lambda self: self.history)
    @rule(keep=st.integers(0, 6))
    def trim_log(self, keep: int) -> None:
        self.do(self._trim(keep))

    @rule(now=_rarely)
    def delete_log(self, now: bool) -> None:
        if now:
            self.do(self._trim(None))

    @rule(now=_rarely)
    def cut_pubsub(self, now: bool) -> None:
        if now:
            self.do(later(lambda: self.world.redis.client_kill_filter(_type="pubsub")))

    @rule(now=_rarely)
    def restart_redis(self, now: bool) -> None:
        if now:
            self.do(self.world.restart_redis())

    @rule(now=_very_rarely, web=st.integers(0, 1))
    def restart_web(self, now: bool, web: int) -> None:
        if now:
            self.world.restart_web(web)

    @rule()
    def settle(self) -> None:
        self.do(self._settle())

    def teardown(self) -> None:
        try:
            if not self.failed:
                self.do(self._settle_all())
        finally:
            if self.failed:
                self.world.patience = 4.0  # while the example is made smaller, it fails again and again
            self.world.run(self._disconnect_all())

    # How.

    async def _create_project(self) -> None:
        manuscript = UploadedManuscript(b"Hello, world.", "txt", "Hello", "en")
        project, job = await self.world.projects.create(self.user, manuscript)
        self.projects.append(project.id)
        self.open[job.id] = job
        await self._learn()

    async def _start_job(self, pick: int) -> None:
        project, chapter = pick_of(self.chapters, pick)
        job, new = await self.world.jobs.create(self.user, JobRequest(NARRATION, project, "en", chapter))
        assert new == (job.id not in self.open)
        self.open[job.id] = job
        await self._learn()

    async def _claim(self, pick: int) -> None:
        job = pick_of([job for job in self.open.values() if job.id not in self.claims], pick)
        self.claims[job.id] = await self._claimed(job)
        with pytest.raises(Refused, match="leased"):
            await self._claimed(job)
        await self._learn()

    async def _claimed(self, job: Job) -> Claim:
        return await self.world.jobs.claim(self.user, job.id, "read" if job.queue == PARSING else "start")

    async def _report(self, pick: int, times: int) -> None:
        claim = self._claim_of(pick)
        stage = "convert" if claim.job.queue == PARSING else "synthesis"
        for done in range(self.units.get(claim.job.id, 0), self.units.get(claim.job.id, 0) + times):
            told = progress(claim.job.queue, stage, "en", done=min(done, UNITS), total=UNITS)
            await self.world.jobs.report(claim, told, thin=done > 0)
        self.units[claim.job.id] = self.units.get(claim.job.id, 0) + times
        await self._learn()

    async def _enter_next_stage(self, pick: int) -> None:
        claim = self._claim_of(pick)
        stage = "split" if claim.job.queue == PARSING else "upload"
        await self.world.jobs.report(claim, progress(claim.job.queue, stage, "en"), thin=False)
        await self._learn()

    async def _complete(self, pick: int) -> None:
        claim = self._claim_of(pick)
        if claim.job.queue == PARSING:
            await self._complete_parsing(claim)
        else:
            await self.world.jobs.complete(claim, {"audioUrl": "/audios/x.mp3", "durationSeconds": 1.5}, {})
        await self._ended(claim.job)

    async def _complete_parsing(self, claim: Claim) -> None:
        project = claim.job.project_id
        parsed = [ParsedChapter("One", "Text 1."), ParsedChapter("Two", "Text 2.")]
        records = await self.world.projects.add_chapters(claim, parsed)
        await self.world.jobs.complete(claim, {"chapters": 2, "characters": 14}, records)
        self.chapters += [(project, chapter.id) for chapter in await self.world.projects.chapters(self.user, project)]

    async def _fail(self, pick: int) -> None:
        claim = self._claim_of(pick)
        await self.world.jobs.fail(claim, "tts_failed", "The voice does not answer.")
        await self._ended(claim.job)

    async def _cancel(self, pick: int) -> None:
        job = pick_of(list(self.open.values()), pick)
        await self.world.jobs.cancel(self.user, job.queue, job.id)
        await self._ended(job)

    async def _take_over(self, pick: int) -> None:
        """A worker fell silent for longer than its lease, and another takes its job."""
        late = self._claim_of(pick)
        await self.world.redis.hset(keys.job(self.user, late.job.id), "lease", "0")
        claim = self.claims[late.job.id] = await self._claimed(late.job)
        assert claim.attempt == late.attempt + 1
        self.late.append(late)
        self.units.pop(late.job.id, None)
        await self._learn()

    async def _write_too_late(self, pick: int) -> None:
        claim = pick_of(self.late, pick)
        key = keys.job(self.user, claim.job.id)
        before = await self.world.redis.hgetall(key), await self._cursor()
        told = progress(claim.job.queue, "done", "en")
        for write in (
            lambda: self.world.jobs.report(claim, told, thin=False),
            lambda: self.world.jobs.complete(claim, {}, {}),
            lambda: self.world.jobs.fail(claim, "late", "Too late."),
        ):
            with pytest.raises(Refused, match=r"stale|final"):
                await write()
        assert await self.world.redis.hgetall(key) == before[0]
        if self.history and self.history[-1].id == before[1]:
            assert await self._cursor() == before[1]

    async def _ended(self, job: Job) -> None:
        del self.open[job.id]
        self.units.pop(job.id, None)
        if claim := self.claims.pop(job.id, None):
            self.late.append(claim)
        await self._learn()

    def _claim_of(self, pick: int) -> Claim:
        return pick_of(list(self.claims.values()), pick)

    async def _cursor(self) -> Cursor:
        return await self.world.log.top(self.user)

    async def _learn(self) -> None:
        """Keeps what was appended, before anything can befall the log."""
        last = self.history[-1].id if self.history else NOWHERE
        page = await self.world.log.read(self.user, last, 1000)
        for entry in page.entries:
            follows = entry.id == Cursor(last.epoch, last.seq + 1)
            begins = entry.id.epoch > last.epoch and entry.id.seq == 1 and last in {self.losses.ended, NOWHERE}
            assert follows or begins, f"{entry.id} was appended after {last}"
            last = entry.id
        self.history += page.entries

    async def _trim(self, keep: int | None) -> None:
        """Keeps so many events; None deletes the log."""
        held = (await self.world.log.read(self.user, NOWHERE, 10_000)).entries
        gone = held[: len(held) - (keep or 0)] if len(held) > (keep or 0) else []
        if gone:
            self.losses.count += 1
            self.losses.removed = gone[-1].id
            self.losses.ended = self.losses.ended if keep else gone[-1].id
        if keep is None:
            await self.world.redis.delete(keys.log(self.user))
        else:
            await self.world.redis.xtrim(keys.log(self.user), maxlen=keep, approximate=False)

    async def _connect(self, form: Form, web: int, noted: bool) -> None:
        """From a cursor taken now, or long ago, and jobs that were looked at after it."""
        polled = await self._get(web, "/api/events")
        cursor = self.noted if noted and self.noted else parse(polled["cursor"])
        jobs = [job for project in self.projects for job in jobs_of(await self._get(web, f"/api/projects/{project}"))]
        self._add_reader(form, web, cursor, jobs, None, None)

    async def _connect_from_project(self, form: Form, web: int, project: str, narrow: bool) -> None:
        """From a project's page, which has its cursor with it."""
        page = await self._get(web, f"/api/projects/{project}")
        scope, cursor = frozenset({project}), parse(page["cursor"])
        self._add_reader(form, web, cursor, jobs_of(page), scope, project if narrow else None)

    def _add_reader(
        self,
        form: Form,
        web: int,
        cursor: Cursor,
        jobs: list[reducer.Job],
        scope: frozenset[str] | None,
        narrow: str | None,
    ) -> None:
        name = f"reader {len(self.readers)}"
        known = {job["id"]: job for job in jobs}
        reader = Reader(self.world, name, self.credential, form, web, cursor, known, scope, narrow)
        self.readers.append(reader)
        reader.connect()

    async def _get(self, web: int, path: str) -> Any:
        """An answer as JSON; a process that is away, or whose Redis is, is asked again."""

        async def answer() -> httpx.Response | None:
            with suppress(httpx.TransportError):
                headers = self.credential | {"Accept": "application/json"}
                found = await self.world.http.get(f"{self.world.url(web)}{path}", headers=headers)
                if found.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return found
            return None

        found = await until(answer)
        assert found.status_code == httpx.codes.OK, found.text
        return found.json()

    async def _settle_all(self) -> None:
        """Those who were away or did not read come back first."""
        for reader in self.readers:
            if reader.frozen:
                reader.thaw()
            if not reader.connected:
                reader.connect()
        await self._settle()

    async def _settle(self) -> None:
        """Each reader that reads catches up; then its picture is right, and nothing was missed, repeated or made up."""
        reading = [reader for reader in self.readers if reader.connected and not reader.frozen]
        truth = await self._truth()
        top = await self._cursor()
        for reader in reading:
            try:
                await until(
                    lambda reader=reader: reader.wrong or self._caught_up(reader, truth, top), self.world.patience
                )
            except AssertionError:
                raise AssertionError(self._story(reader, "did not catch up", truth)) from None
            if found := self._faults(reader):
                raise AssertionError(self._story(reader, found, truth))

    async def _truth(self) -> dict[str, reducer.Job]:
        made = [await self.world.jobs.latest(self.user, project) for project in self.projects]
        return {job.id: job.json_dict() for jobs in made for job in jobs.values()}

    def _caught_up(self, reader: Reader, truth: dict[str, reducer.Job], top: Cursor) -> bool:
        at_top = reader.narrow is not None or top.seq == 0 or reader.cursor == top
        right = reader.picture() == reducer.picture(truth, reader.scope)
        return at_top and right and not self._untold(reader)

    def _faults(self, reader: Reader) -> str:
        """What is wrong with a reader that has caught up; empty where nothing is."""
        if reader.wrong:
            return reader.wrong[0]
        for before, after in reader.resets:
            if not self.losses.explain(before):
                return f"was reset from {before} to {after}, though nothing that follows was lost"
        if len(reader.resets) > self.losses.count:
            return f"was reset {len(reader.resets)} times, though the log lost something {self.losses.count} times"
        known = {entry.id: entry for entry in self.history}
        for id, (type, data) in reader.seen.items():
            if (type, compact(data).encode()) != (known[id].type, known[id].data):
                return f"heard {id} otherwise than it was written"
        return ""

    def _untold(self, reader: Reader) -> list[str]:
        """Events that it should know of; progress within a stage may be left out."""
        due = (entry for entry in self.history if entry.id > reader.start and not entry.thin and reader.wants(entry))
        return [f"{entry.id} {entry.type}" for entry in due if not reader.was_told(entry)]

    def _story(self, reader: Reader, what: str, truth: dict[str, reducer.Job]) -> str:
        written = [f"{entry.id} {entry.type} {entry.job[:4]}{' thin' if entry.thin else ''}" for entry in self.history]
        return "\n  ".join(
            [
                f"{reader.name} {what}",
                reader.story(),
                f"its picture: {short(reader.picture())}",
                f"the truth:   {short(reducer.picture(truth, reader.scope))}",
                f"was not told of: {self._untold(reader)}",
                f"lost from the log: {self.losses}",
                f"written to the log: {'; '.join(written)}",
                *(f"web {web} said: {line}" for web in (0, 1) for line in self.world.said(web)),
            ]
        )

    async def _disconnect_all(self) -> None:
        for reader in self.readers:
            await reader.disconnect()


def pick_of(items: list[T], pick: int) -> T:
    return items[pick % len(items)]


async def later(call: Callable[[], Any]) -> None:
    """Calls within the loop."""
    found = call()
    if asyncio.iscoroutine(found):
        await found
