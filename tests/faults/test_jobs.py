"""Jobs survive: whatever dies under a narration, it ends once, with the right sound, and voices nothing twice."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from app.cli import embedded_redis
from tests.faults.proxy import Moment, RedisProxy
from tests.faults.readers import ENDS
from tests.faults.scene import GOES_ON_SECONDS, USER, Scene, check_progress, paragraphs, staged
from tests.support import until

TEXTS = paragraphs(10)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with staged() as scene:
        yield scene


@pytest.fixture
async def hasty() -> AsyncIterator[Scene]:
    """A scene whose workers lose their jobs, and try again, sooner."""
    async with staged(lease_seconds=1.5, requeue_seconds=1.5, retry_seconds=0.1) as scene:
        yield scene


async def test_worker_killed_twice_in_the_middle_of_a_segment(scene: Scene) -> None:
    worker = await scene.worker()
    project, chapter = await scene.book(TEXTS)
    scene.tts.hold(TEXTS[3].__eq__)
    job = await scene.narrate(project, chapter)
    for fatal, following in ((TEXTS[3], TEXTS[7]), (TEXTS[7], "")):
        await until(lambda: scene.tts.held)
        worker.kill()
        killed = time.monotonic()
        scene.tts.hold(following.__eq__)
        await worker.restart()
        await until(lambda fatal=fatal: scene.tts.calls[fatal] == 2)
        assert time.monotonic() - killed < GOES_ON_SECONDS
    assert (await scene.ended(job))["attempt"] == 3
    await scene.check_one_good_end(project, job, TEXTS)
    scene.check_voiced_once(TEXTS[3], TEXTS[7])


async def test_job_that_costs_three_workers_their_lives_fails(hasty: Scene) -> None:
    worker = await hasty.worker()
    project, chapter = await hasty.book(TEXTS)
    hasty.tts.hold()
    job = await hasty.narrate(project, chapter)
    for losses in range(1, 4):
        await until(lambda losses=losses: hasty.tts.requests == losses)
        worker.kill()
        await worker.restart()
    ended = await hasty.ended(job)
    assert (ended["state"], ended["error"]["code"], ended["attempt"]) == ("failed", "worker_lost", 3)
    told = await hasty.events(job)
    assert [one.type for one, _ in told if one.type in ENDS] == ["audio:failed"]
    assert hasty.tts.requests == 3


async def test_job_that_goes_on_is_not_given_up_however_often_it_loses_its_worker(hasty: Scene) -> None:
    worker = await hasty.worker(max_losses=2)
    project, chapter = await hasty.book(TEXTS)
    fatal = TEXTS[1:8:2]
    hasty.tts.hold(fatal[0].__eq__)
    job = await hasty.narrate(project, chapter)
    for at, following in zip(fatal, [*fatal[1:], ""], strict=True):
        await until(lambda: hasty.tts.held)

        async def told(at: str = at) -> bool:
            # The title is a segment, too.
            return int((await hasty.job(job))["progress"]["unitsDone"] or 0) >= TEXTS.index(at) + 1

        await until(told)
        worker.kill()
        hasty.tts.hold(following.__eq__)
        await worker.restart()
    ended = await hasty.ended(job)
    assert (ended["state"], ended["attempt"]) == ("completed", 5)
    await hasty.check_one_good_end(project, job, TEXTS)


@pytest.mark.parametrize(
    ("pattern", "moment"),
    [
        pytest.param(b'"unitsDone":11,"unitsTotal":11', "request", id="before the upload"),
        pytest.param(b"audio:complete", "request", id="between upload and commit"),
        pytest.param(b"audio:complete", "answered", id="between commit and acknowledgement"),
    ],
)
async def test_worker_killed_at_a_chosen_moment(hasty: Scene, pattern: bytes, moment: Moment) -> None:
    async with RedisProxy(embedded_redis.socket_of(hasty.rig.folder)) as proxy:
        worker = await hasty.worker(redis_url=proxy.url, queue_url=hasty.rig.redis.url, progress_per_second=1000)
        project, chapter = await hasty.book(TEXTS)
        proxy.once(pattern, moment, lambda: worker.send_all(signal.SIGKILL))
        job = await hasty.narrate(project, chapter)
        await until(lambda: proxy.sprung)
        worker.wait()
        await worker.restart()
        await hasty.ended(job)
        await hasty.check_one_good_end(project, job, TEXTS)
        hasty.check_voiced_once()


async def test_commit_whose_answer_is_lost_is_one_commit(hasty: Scene) -> None:
    async with RedisProxy(embedded_redis.socket_of(hasty.rig.folder)) as proxy:
        await hasty.worker(redis_url=proxy.url, queue_url=hasty.rig.redis.url)
        project, chapter = await hasty.book(TEXTS)
        proxy.once(b"audio:complete", "answered")
        job = await hasty.narrate(project, chapter)
        assert (await hasty.ended(job))["attempt"] == 1
        await until(lambda: proxy.sprung)
        await hasty.check_one_good_end(project, job, TEXTS)
        hasty.check_voiced_once()


async def test_message_fetched_by_a_worker_that_never_got_it(scene: Scene) -> None:
    async with RedisProxy(embedded_redis.socket_of(scene.rig.folder)) as proxy:
        await scene.worker(queue_url=proxy.url)
        project, chapter = await scene.book(TEXTS)
        proxy.once(b"narrate_chapter", "reply")
        job = await scene.narrate(project, chapter)
        await until(lambda: proxy.sprung)
        lost = time.monotonic()
        await until(lambda: scene.tts.requests)
        assert time.monotonic() - lost < GOES_ON_SECONDS
        await scene.ended(job)
        await scene.check_one_good_end(project, job, TEXTS)
        scene.check_voiced_once()


async def test_worker_frozen_past_its_lease_is_refused_when_it_wakes(hasty: Scene) -> None:
    frozen = await hasty.worker()
    project, chapter = await hasty.book(TEXTS)
    hasty.tts.hold(lambda text: text == TEXTS[4])
    job = await hasty.narrate(project, chapter)
    await until(lambda: hasty.tts.held)
    frozen.send_all(signal.SIGSTOP)
    await hasty.worker()
    await until(lambda: hasty.tts.calls[TEXTS[4]] == 2)
    hasty.tts.release()
    assert (await hasty.ended(job))["attempt"] == 2
    before = await hasty.events(job)
    frozen.send_all(signal.SIGCONT)
    await until(lambda: "left_alone" in frozen.output)
    assert await hasty.events(job) == before
    await hasty.check_one_good_end(project, job, TEXTS)
    hasty.check_voiced_once(TEXTS[4])


@pytest.mark.parametrize("hours", [1, -1])
async def test_leases_do_not_care_for_a_clock_that_is_wrong(hasty: Scene, hours: int) -> None:
    await hasty.worker(clock_ahead=hours * 3600)
    project, chapter = await hasty.book(TEXTS)
    hasty.tts.hold(TEXTS[4].__eq__)
    job = await hasty.narrate(project, chapter)
    await until(lambda: hasty.tts.held)
    other = await hasty.worker()
    async with hasty.rig.client as redis:
        begun = (await redis.time())[0]

        async def long_over() -> bool:
            return bool((await redis.time())[0] > begun + 4)

        await until(long_over)
    assert '"taken"' not in other.output
    hasty.tts.release()
    assert (await hasty.ended(job))["attempt"] == 1
    await hasty.check_one_good_end(project, job, TEXTS)
    hasty.check_voiced_once()


async def test_redis_killed_and_restarted_in_the_middle(scene: Scene) -> None:
    await scene.worker()
    project, chapter = await scene.book(TEXTS)
    scene.tts.hold(lambda text: text == TEXTS[4])
    job = await scene.narrate(project, chapter)
    await until(lambda: scene.tts.held)
    scene.rig.redis.kill()
    scene.tts.release()
    back = time.monotonic()
    await scene.rig.redis.restart()
    await until(lambda: scene.tts.calls[TEXTS[6]])
    assert time.monotonic() - back < GOES_ON_SECONDS
    await scene.ended(job)
    await scene.check_one_good_end(project, job, TEXTS)
    scene.check_voiced_once()


async def test_storage_that_refuses_ends_the_job_with_its_reason(hasty: Scene) -> None:
    await hasty.worker(max_retries=1)
    project, chapter = await hasty.book(TEXTS)
    audio = hasty.rig.settings.data_dir / "storage" / f"u-{USER}" / "projects" / project / "audio"
    audio.touch()  # where a folder is wanted
    job = await hasty.narrate(project, chapter)
    ended = await hasty.ended(job)
    assert (ended["state"], ended["error"]["code"], ended["attempt"]) == ("failed", "storage_unavailable", 2)
    told = await hasty.events(job)
    check_progress(told)
    assert [one.type for one, _ in told if one.type in ENDS] == ["audio:failed"]
    stages = [data["progress"]["stage"] for _, data in told if "progress" in data]
    assert "retrying" in stages
    assert "done" not in stages
    audio.unlink()
    again = await hasty.narrate(project, chapter)
    await hasty.ended(again)
    await hasty.check_one_good_end(project, again, TEXTS)
    hasty.check_voiced_once()


async def test_voice_service_that_fails_is_tried_again_then_the_job_fails(hasty: Scene) -> None:
    await hasty.worker(max_retries=1, tts_tries=1)
    project, chapter = await hasty.book(TEXTS)
    hasty.tts.misbehave(*["html"] * 2)
    job = await hasty.narrate(project, chapter)
    ended = await hasty.ended(job)
    assert (ended["state"], ended["error"]["code"]) == ("failed", "tts_bad_audio")
    assert ended["progress"]["percentage"] < 100
    again = await hasty.narrate(project, chapter)
    await hasty.ended(again)
    await hasty.check_one_good_end(project, again, TEXTS)


async def test_twenty_presses_at_once_make_one_job(scene: Scene) -> None:
    await scene.worker()
    project, chapter = await scene.book(TEXTS)
    scene.tts.hold()
    other = await scene.rig.web()
    async with scene.rig.client_of(other, USER) as second:
        path = f"/api/projects/{project}/chapters/{chapter}/audio"
        answers = await asyncio.gather(*(tab.post(path) for tab in (scene.http, second) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {httpx.codes.ACCEPTED}
    [job] = {answer.json()["id"] for answer in answers}
    scene.tts.release()
    await scene.ended(job)
    await scene.check_one_good_end(project, job, TEXTS)
    scene.check_voiced_once()


async def test_cancelled_job_stops_within_two_seconds_inside_a_call_that_hangs(scene: Scene) -> None:
    await scene.worker()
    project, chapter = await scene.book(TEXTS)
    scene.tts.hold(lambda text: text == TEXTS[4])
    job = await scene.narrate(project, chapter)
    await until(lambda: scene.tts.held)
    assert (await scene.http.delete(f"/api/jobs/audio-generation/{job}")).status_code == httpx.codes.ACCEPTED
    await until(lambda: not scene.tts.held, timeout=2.5)  # two seconds, and the way there
    assert (await scene.ended(job))["state"] == "cancelled"
    assert [one.type for one, _ in await scene.events(job) if one.type in ENDS] == ["audio:cancelled"]
    scene.tts.release()
    again = await scene.narrate(project, chapter)
    await scene.ended(again)
    await scene.check_one_good_end(project, again, TEXTS)
    scene.check_voiced_once(TEXTS[4])


async def test_cancelled_while_it_waits_it_is_never_begun(scene: Scene) -> None:
    worker = await scene.worker()
    project, chapter = await scene.book(TEXTS)
    await worker.stop()
    job = await scene.narrate(project, chapter)
    await scene.http.delete(f"/api/jobs/audio-generation/{job}")
    await worker.restart()
    await until(lambda: "left_alone" in worker.output)
    assert [one.type for one, _ in await scene.events(job)] == ["audio:progress", "audio:cancelled"]
    assert scene.tts.requests == 0


async def test_cancelled_while_it_finishes_it_ends_once(scene: Scene) -> None:
    async with RedisProxy(embedded_redis.socket_of(scene.rig.folder)) as proxy:
        await scene.worker(redis_url=proxy.url, queue_url=scene.rig.redis.url)
        project, chapter = await scene.book(TEXTS[:2])
        cancels: list[asyncio.Task[httpx.Response]] = []
        for _ in range(5):
            scene.tts.calls.clear()
            job = await scene.narrate(project, chapter)
            cancels.append(asyncio.create_task(scene.http.delete(f"/api/jobs/audio-generation/{job}")))
            ended = await scene.ended(job)
            [end] = [one.type for one, _ in await scene.events(job) if one.type in ENDS]
            assert end == {"completed": "audio:complete", "cancelled": "audio:cancelled"}[ended["state"]]
        assert {answer.status_code for answer in await asyncio.gather(*cancels)} == {httpx.codes.ACCEPTED}


async def test_project_deleted_while_its_jobs_run_leaves_nothing_behind(hasty: Scene) -> None:
    worker = await hasty.worker()
    project, chapter = await hasty.book(TEXTS)
    hasty.tts.hold(lambda text: text == TEXTS[4])
    await hasty.narrate(project, chapter)
    await until(lambda: hasty.tts.held)
    assert (await hasty.http.delete(f"/api/projects/{project}")).status_code == httpx.codes.NO_CONTENT
    await until(lambda: not hasty.tts.held, timeout=2.5)
    await until(lambda: "left_alone" in worker.output)

    async def gone() -> bool:
        return not await hasty.left_of(project)

    await until(gone)
    assert (await hasty.http.get(f"/api/projects/{project}")).status_code == httpx.codes.NOT_FOUND


async def test_worker_frozen_while_its_project_is_deleted_leaves_nothing_behind(hasty: Scene) -> None:
    frozen = await hasty.worker()
    project, chapter = await hasty.book(TEXTS)
    hasty.tts.hold(lambda text: text == TEXTS[4])
    await hasty.narrate(project, chapter)
    await until(lambda: hasty.tts.held)
    frozen.send_all(signal.SIGSTOP)
    hasty.tts.release()
    await hasty.http.delete(f"/api/projects/{project}")
    assert await hasty.left_of(project) == []
    frozen.send_all(signal.SIGCONT)
    await until(lambda: "left_alone" in frozen.output)

    async def gone() -> bool:
        return not await hasty.left_of(project)

    await until(gone)


async def test_worker_that_is_told_to_leave_hands_its_job_back_at_once(scene: Scene) -> None:
    leaving = await scene.worker()
    project, chapter = await scene.book(TEXTS)
    scene.tts.hold(lambda text: text == TEXTS[4])
    job = await scene.narrate(project, chapter)
    await until(lambda: scene.tts.held)
    await scene.worker()
    leaving.send(signal.SIGTERM)
    # A lease would take eight seconds to run out.
    await until(lambda: scene.tts.calls[TEXTS[4]] == 2, timeout=5)
    scene.tts.release()
    assert (await scene.ended(job))["attempt"] == 2
    assert leaving.wait() == 0
    assert "Traceback" not in leaving.output
    await scene.check_one_good_end(project, job, TEXTS)
    scene.check_voiced_once(TEXTS[4])


async def test_chapter_edited_in_one_sentence_voices_only_what_changed(scene: Scene) -> None:
    await scene.worker()
    project, chapter = await scene.book(TEXTS)
    await scene.ended(await scene.narrate(project, chapter))
    scene.tts.calls.clear()
    edited = [*TEXTS[:5], "Nobody wrote anything down that year.", *TEXTS[6:]]
    path = f"/api/projects/{project}/chapters/{chapter}"
    assert (await scene.http.patch(path, json={"text": "\n\n".join(edited)})).status_code == httpx.codes.OK
    for file in scene.files("audio"):
        file.unlink()
    job = await scene.narrate(project, chapter)
    await scene.ended(job)
    assert scene.tts.calls == {edited[5]: 1}
    await scene.check_one_good_end(project, job, edited)


async def test_regenerating_pays_for_nothing_again(scene: Scene) -> None:
    await scene.worker()
    project, chapter = await scene.book(TEXTS)
    await scene.ended(await scene.narrate(project, chapter))
    job = await scene.narrate(project, chapter)
    await scene.ended(job)
    await scene.check_one_good_end(project, job, TEXTS)
    scene.check_voiced_once()
