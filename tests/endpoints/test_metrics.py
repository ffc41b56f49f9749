"""`/metrics`: who may see it, and what it says of what has just happened."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr, ValidationError

from app.core.jobs.broker import WorkQueue
from app.core.settings import Settings
from app.core.status import exposition
from tests.conftest import serve, signed_in
from tests.support import Client, HandWorker, data, until

TOKEN = "a-token-for-the-metrics-of-the-tests"


class Seen:
    """The samples of one answer, added up over all labels that are not asked for."""

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        found = [sample for sample in self._samples if sample.name == name and labels.items() <= sample.labels.items()]
        return sum(sample.value for sample in found)

    def processes(self) -> set[str]:
        return {sample.labels["process"] for sample in self._samples if "process" in sample.labels}

    def text_of_labels(self) -> str:
        return " ".join(value for sample in self._samples for value in sample.labels.values())


async def seen(anyone: httpx.AsyncClient) -> Seen:
    """What all processes say; asked again where one of a busy machine was too slow to answer, and so left out."""
    while True:
        answer = await anyone.get("/metrics")
        assert answer.status_code == httpx.codes.OK, answer.text
        found = Seen(answer.text)
        if not found("smartvoice_silent_processes"):
            return found


async def test_metrics_are_for_this_machine_alone(anyone: httpx.AsyncClient) -> None:
    assert (await anyone.get("/metrics")).headers["content-type"].startswith("text/plain; version=0.0.4")
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        answer = await anyone.get("/metrics", headers={name: "192.0.2.7"})
        assert (answer.status_code, answer.json()["code"]) == (403, "not_from_here")


async def test_metrics_are_for_the_token_where_one_is_set(settings: Settings) -> None:
    guarded = settings.model_copy(update={"metrics_token": SecretStr(TOKEN)})
    async with serve(guarded) as address, httpx.AsyncClient(base_url=address, trust_env=False) as anyone:
        good = {"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "192.0.2.7"}
        assert (await anyone.get("/metrics", headers=good)).status_code == httpx.codes.OK
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
            answer = await anyone.get("/metrics", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")
        # It opens nothing else.
        answer = await anyone.get("/api/projects", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == httpx.codes.UNAUTHORIZED


def test_token_that_is_easily_guessed_is_no_setting() -> None:
    with pytest.raises(ValidationError, match="16 visible ASCII"):
        Settings(metrics_token=SecretStr("short"))


async def test_streams_events_and_resumes_are_counted(
    anyone: httpx.AsyncClient, alice: Client, worker: HandWorker
) -> None:
    before = await seen(anyone)
    async with alice.stream() as stream:
        ready = await stream.next("ready")
        assert (await seen(anyone))("smartvoice_streams", transport="sse") == 1
        project = await alice.create()
        await worker.parse("alice", project["job"])
        await stream.until("parse:complete")

    async with alice.stream(headers={"Last-Event-ID": ready.id}) as stream:
        [*_, last] = await stream.until("parse:complete")
    async with alice.stream(headers={"Last-Event-ID": last.id}) as stream:
        await stream.next("ready")
        await until(lambda: _resumed(anyone, "exact", before))
    async with alice.stream(headers={"Last-Event-ID": "1-9"}) as stream:
        await stream.next("reset")
    polled = await alice.poll(after=ready.id)

    async def ended() -> bool:
        return (await seen(anyone))("smartvoice_streams", transport="sse") == 0

    await until(ended)
    after = await seen(anyone)
    of = {
        name: after(name, **labels) - before(name, **labels)
        for name, labels in {
            "smartvoice_stream_resumes_total": {"outcome": "replayed"},
            "smartvoice_resets_total": {"transport": "sse"},
            "smartvoice_jobs_total": {"step": "completed", "queue": "text-parsing"},
            "smartvoice_streams_closed_total": {"reason": "client"},
        }.items()
    }
    assert of == {
        "smartvoice_stream_resumes_total": 1,
        "smartvoice_resets_total": 1,
        "smartvoice_jobs_total": 1,
        "smartvoice_streams_closed_total": 4,
    }
    events = len(polled["events"])
    assert after("smartvoice_events_published_total") - before("smartvoice_events_published_total") == events
    assert after("smartvoice_events_delivered_total", transport="poll") >= events
    # Once live, once replayed.
    delivered = after("smartvoice_events_delivered_total", transport="sse")
    assert delivered - before("smartvoice_events_delivered_total", transport="sse") == 2 * events
    assert after("smartvoice_delivery_lag_seconds_count") > before("smartvoice_delivery_lag_seconds_count")


async def _resumed(anyone: httpx.AsyncClient, outcome: str, before: Seen) -> bool:
    name = "smartvoice_stream_resumes_total"
    return (await seen(anyone))(name, outcome=outcome) == before(name, outcome=outcome) + 1


async def test_requests_are_counted_by_route_and_never_by_what_somebody_typed(
    anyone: httpx.AsyncClient, alice: Client
) -> None:
    before = await seen(anyone)
    await alice.http.get("/api/projects/nosuchprojectofmine")
    await anyone.get("/nosuchpagetobefound")
    after = await seen(anyone)
    name = "smartvoice_http_requests_total"
    known = {"method": "GET", "route": "/api/projects/{project}", "status": "404"}
    unknown = {"method": "GET", "route": "unknown", "status": "404"}
    assert after(name, **known) - before(name, **known) == 1
    assert after(name, **unknown) - before(name, **unknown) == 1
    assert after("smartvoice_http_request_seconds_count", route="/api/projects/{project}") > 0
    refused = {"code": "not_found", "status": "404"}
    assert after("smartvoice_refusals_total", **refused) - before("smartvoice_refusals_total", **refused) == 1
    assert "nosuch" not in after.text_of_labels()
    assert "alice" not in after.text_of_labels()


async def test_queue_that_nobody_works_at_shows_its_length_and_age(
    anyone: httpx.AsyncClient, settings: Settings
) -> None:
    queue = WorkQueue(settings.queue)
    assert (await seen(anyone))("smartvoice_queue_messages", queue="audio-generation") == 0
    await queue.enqueue("audio-generation", "alice", "one")
    await queue.enqueue("audio-generation", "alice", "two")
    await queue.aclose()

    async def aged() -> bool:
        return 0 < (await seen(anyone))("smartvoice_queue_oldest_seconds", queue="audio-generation") < 60

    await until(aged)
    assert (await seen(anyone))("smartvoice_queue_messages", queue="audio-generation") == 2
    assert (await seen(anyone))("smartvoice_redis_up") == 1


async def test_redis_that_is_away_is_told_and_hides_nothing_else(settings: Settings, tmp_path: Path) -> None:
    lonely = settings.model_copy(update={"redis_url": f"unix://{tmp_path}/nobody.sock"})
    async with serve(lonely) as address, httpx.AsyncClient(base_url=address, trust_env=False) as anyone:
        told = await seen(anyone)
        assert told("smartvoice_redis_up") == 0
        assert told.processes() == {f"web-{os.getpid()}"}


async def test_whoever_is_asked_tells_of_every_process_of_the_machine_and_forgets_the_dead(
    anyone: httpx.AsyncClient, settings: Settings
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "SMARTVOICE_DATA_DIR": str(settings.data_dir),
        "SMARTVOICE_REDIS_URL": settings.redis_url,
        "SMARTVOICE_WORKER_METRICS_PORT": str(port),
        "SMARTVOICE_METRICS_TOKEN": TOKEN,
    }
    command = [sys.executable, "-m", "app.cli", "worker", "--processes", "1"]
    process = subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2], start_new_session=True)
    try:

        async def worker_is_there() -> bool:
            return any(name.startswith("worker-") for name in (await seen(anyone)).processes())

        await until(worker_is_there)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as alone:

            async def listens() -> bool:
                try:
                    return (await alone.get("/metrics")).status_code == httpx.codes.UNAUTHORIZED
                except httpx.TransportError:
                    return False

            # The worker's own port tells the same, to who has the token.
            await until(listens)
            told = Seen((await alone.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})).text)
            assert {re.sub(r"\d+", "", name) for name in told.processes()} == {"web-", "worker-"}
    finally:
        os.killpg(process.pid, 9)
        process.wait(10)

    async def forgotten() -> bool:
        alone = (await seen(anyone)).processes() == {f"web-{os.getpid()}"}
        return alone and len(list(exposition.folder_of(settings).iterdir())) == 1

    await until(forgotten)


async def test_folder_that_others_may_write_to_is_not_used(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    shared = settings.model_copy(update={"metrics_dir": str(folder)})
    async with serve(shared) as address, signed_in(address, shared, "alice") as alice:
        assert await alice.create()
        assert not list(folder.iterdir())


async def test_status_is_for_administrators_and_adds_up_what_the_metrics_say(
    address: str, settings: Settings, alice: Client
) -> None:
    refused = await alice.http.get("/api/status")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_admin")
    async with signed_in(address, settings, "admin") as admin:
        before = (await admin.http.get("/api/status")).json()
        async with alice.stream() as stream:
            await stream.next("ready")
            await alice.create()
            await stream.next("parse:progress")
            status = (await admin.http.get("/api/status")).json()
    assert (before["streams"], status["streams"]) == (0, 1)
    assert status["totals"]["published"] - before["totals"]["published"] == 1
    assert status["totals"]["delivered"] - before["totals"]["delivered"] == 1
    assert status["processes"] == [f"web-{os.getpid()}"]
    assert status["redis"]["up"] is True
    assert {queue["queue"] for queue in status["queues"]} >= {"text-parsing", "audio-generation"}


async def test_status_is_told_on_the_streams_of_administrators_who_want_it(
    address: str, settings: Settings, alice: Client
) -> None:
    refused = await alice.http.get("/api/events", params={"status": "true"})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_admin")
    async with signed_in(address, settings, "admin") as admin, admin.stream() as plain:
        await plain.next("ready")
        wanted = {"params": {"status": "true"}}
        async with admin.stream(**wanted) as first:
            told = data(await first.next("status"))
            assert told["streams"] == 2
            assert told.keys() == (await admin.http.get("/api/status")).json().keys()
            # Who comes later is told at once, by what is found out for all.
            async with admin.stream(**wanted) as second:
                assert data(await second.next("status"))["streams"] == 3
                while data(await first.next("status"))["streams"] != 3:
                    pass
        # Nobody who did not ask hears of it.
        await admin.create()
        assert (await plain.next()).event == "parse:progress"
