"""Logs: one request can be followed from the web side through the queue into the worker."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import structlog
from dramatiq.middleware import AsyncIO
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from app.core.jobs.broker import AsyncRedisBroker
from app.core.settings import Settings
from app.core.telemetry.logs import configure_logs
from tests.support import Client, until
from workers.runtime.redis_consumer import RedisConsumerMiddleware

REQUEST = "request-of-this-test"


async def test_request_is_followed_from_the_answer_through_the_queue_into_the_actor(
    alice: Client, settings: Settings
) -> None:
    headers = {"X-Request-Id": REQUEST}
    answer = await alice.http.post("/api/projects", json={"text": "One sentence."}, headers=headers)
    assert answer.headers["X-Request-Id"] == REQUEST
    job = answer.json()["job"]["id"]

    broker = _broker(settings)
    logger = structlog.get_logger()

    @dramatiq.actor(queue_name="text-parsing", broker=broker)
    async def parse_manuscript(user: str, job: str) -> None:
        logger.info("reached", user=user, of=job)

    with capture_logs(processors=[merge_contextvars]) as told:
        worker = dramatiq.Worker(broker, worker_timeout=100, worker_threads=1)
        worker.start()
        try:
            await until(lambda: [line for line in told if line["event"] == "reached"])
        finally:
            worker.stop()
    [line] = [line for line in told if line["event"] == "reached"]
    assert (line["request"], line["user"], line["of"]) == (REQUEST, "alice", job)


def _broker(settings: Settings) -> AsyncRedisBroker:
    broker = AsyncRedisBroker(settings.queue)
    for middleware in (AsyncIO(), RedisConsumerMiddleware(broker, 1)):
        broker.add_middleware(middleware)
    return broker


async def test_refusal_is_one_line_with_its_code_and_the_request_that_the_answer_names(alice: Client) -> None:
    with capture_logs(processors=[merge_contextvars]) as told:
        answer = await alice.http.get("/api/projects/of-somebody-else", headers={"X-Request-Id": "bad id"})
    own = answer.headers["X-Request-Id"]
    assert own != "bad id"
    [line] = [line for line in told if line["event"] == "refused"]
    assert line == {
        "event": "refused",
        "log_level": "info",
        "request": own,
        "code": "not_found",
        "status": 404,
        "method": "GET",
        "route": "/api/projects/{project}",
    }


async def test_each_stream_tells_of_its_beginning_and_why_it_ended(alice: Client) -> None:
    with capture_logs(processors=[merge_contextvars]) as told:
        async with alice.stream(headers={"X-Request-Id": REQUEST}) as stream:
            await stream.next("ready")
        await until(lambda: [line for line in told if line["event"] == "stream_closed"])
    lines = [line for line in told if line.get("request") == REQUEST]
    assert [(line["event"], line.get("user"), line.get("reason")) for line in lines] == [
        ("stream_opened", "alice", None),
        ("stream_closed", None, "client"),
    ]


@pytest.mark.parametrize(("form", "is_json"), [("json", True), ("console", False), ("auto", True)])
def test_logs_have_the_form_that_is_set(form: Any, is_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(form)
    with structlog.contextvars.bound_contextvars(request=REQUEST):
        structlog.get_logger().info("something_happened", number=7)
    told = capsys.readouterr().err
    assert "something_happened" in told
    assert REQUEST in told
    if is_json:
        assert json.loads(told)["number"] == 7
    else:
        assert not told.startswith("{")


def test_whatever_a_line_holds_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json")
    held = {"file": "sch\udcf6n.txt", "path": Path("folder/a"), "text": "第一章\nline", "bytes": b"\xff", "of": {1, 2}}
    structlog.get_logger().warning("odd", **held, number=float("inf"))
    structlog.get_logger().info("plain", path=Path("folder/a"), text="第一章\nline")
    odd, plain = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (odd["file"], odd["text"]) == (held["file"], held["text"])
    assert "folder/a" in odd["path"]
    assert (plain["level"], plain["event"]) == ("info", "plain")
    assert "folder/a" in plain["path"]
    assert datetime.fromisoformat(plain["timestamp"]).tzinfo == UTC
