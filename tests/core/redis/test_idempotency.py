"""Answers under an `Idempotency-Key`: kept within bounds, and held by nobody who is no more."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis

from app.core.errors import Conflict, Unprocessable
from app.core.eventlog.log import EventLog
from app.core.jobs.service import Jobs
from app.core.projects.service import Projects, UploadedManuscript
from app.core.redis import keys
from app.core.redis.idempotency import IdempotentResponses, StoredResponse
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from tests.faults.rig import rigged
from tests.support import HandWorker, NoDispatcher, until

ASKED = keys.digest("POST /x")
USER = "alice"


def answers_of(redis: Redis, settings: Settings, **more: float) -> IdempotentResponses:
    return IdempotentResponses(redis, settings.model_copy(update=more))


async def answer(answers: IdempotentResponses, key: str, body: bytes = b"{}") -> StoredResponse:
    async with answers.turn(USER, key, ASKED) as turn:
        if turn.before is None:
            turn.answer = StoredResponse(202, body, "/there")
        return turn.before or turn.answer  # type: ignore[return-value] # one of them is there


async def test_answer_comes_again_as_it_was(redis: Redis, settings: Settings) -> None:
    answers = answers_of(redis, settings)
    assert await answer(answers, "k", b"first") == await answer(answers, "k", b"second") == (202, b"first", "/there")
    with pytest.raises(Unprocessable, match="another request"):
        async with answers.turn(USER, "k", keys.digest("other")):
            pass


async def test_living_holder_keeps_the_key_beyond_its_lease_and_a_dead_one_for_its_lease_alone(
    redis: Redis, settings: Settings
) -> None:
    # Renewed each second: a busy machine may hold this process up for two before the lease is over.
    answers = answers_of(redis, settings, lease_seconds=3)
    began = time.monotonic()
    async with answers.turn(USER, "k", ASKED):
        while time.monotonic() < began + 3.5:
            with pytest.raises(Conflict):
                await answer(answers, "k")
            await asyncio.sleep(0.1)
    # What failed has left nothing; and who dies renews nothing.
    held = answers.turn(USER, "k", ASKED)
    await held.__aenter__()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        if "_renew" in repr(task.get_coro()):
            task.cancel()
    with pytest.raises(Conflict):
        await answer(answers, "k")

    async def passes() -> bool:
        try:
            return bool(await answer(answers, "k"))
        except Conflict:
            return False

    await until(passes)
    await held.__aexit__(None, None, None)
    # Whose lease was over changes nothing of what came after.
    assert (await answer(answers, "k", b"third")).body == b"{}"


async def test_answers_of_a_user_are_bounded_in_number_and_in_bytes(redis: Redis, settings: Settings) -> None:
    answers = answers_of(redis, settings, max_answers_per_user=5, max_answer_bytes_per_user=2000)
    for number in range(20):
        await answer(answers, str(number))
    assert await redis.zcard(keys.answers_order(USER)) == 5
    assert (await answer(answers, "19", b"new")).body == b"{}"
    assert (await answer(answers, "0", b"new")).body == b"new"
    unlike = [keys.digest(str(n)) * 8 for n in range(20)]
    for number, body in enumerate(unlike):
        await answer(answers, f"large {number}", body.encode())
        kept = await redis.hgetall(keys.answers(USER))
        size = sum(len(value) for name, value in kept.items() if name != b"bytes")
        assert size == int(kept[b"bytes"]) <= 2000
    await answer(answers, "too large", b"".join(keys.digest(str(n)).encode() for n in range(200)))
    assert not await redis.hexists(keys.answers(USER), keys.digest("too large"))


async def test_key_of_a_request_whose_process_was_killed_is_busy_for_a_lease_at_most() -> None:
    async with rigged() as rig:
        webs = [await rig.web(lease_seconds=2) for _ in range(2)]
        async with rig.client as redis, rig.client_of(webs[0], USER) as one, rig.client_of(webs[1], USER) as other:
            jobs = Jobs(redis, EventLog(redis, rig.settings), rig.settings, NoDispatcher())
            shelf = Projects(redis, Storage.of(rig.settings), jobs, rig.settings)
            project, parsing = await shelf.create(USER, UploadedManuscript(b"Text.", "txt", "A book", "en"))
            await HandWorker(jobs, shelf).parse(USER, parsing.json_dict(), 1500)
            path, headers = f"/api/projects/{project.id}/audio", {"Idempotency-Key": "k"}
            asking = asyncio.create_task(one.post(path, headers=headers))
            await until(lambda: redis.zcard(keys.open_jobs(USER)))
            webs[0].kill()
            await asyncio.gather(asking, return_exceptions=True)
            assert (await other.post(path, headers=headers)).status_code == 409

            async def answered() -> int:
                status = (await other.post(path, headers=headers)).status_code
                return 0 if status == 409 else status

            # A lease is two seconds here; the answers themselves are kept for a day.
            assert await until(answered) == 202
            again = await other.post(path, headers=headers)
            assert len({job["id"] for job in again.json()["jobs"]}) == 1500
            assert await redis.zcard(keys.open_jobs(USER)) == 1500
