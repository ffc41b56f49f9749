"""A bucket that refuses, is away, or hands out links."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.core.bucket import BucketAccess
from app.core.errors import Unavailable
from app.core.storage import s3 as buckets
from app.core.storage.object_store import Storage
from app.core.storage.paths import SEGMENTS
from tests.gated_server import Door
from tests.s3 import KEY, READER, SECRET, S3Server
from tests.support import until
from workers.runtime.sweeper import sweep_segments


def _access(s3: S3Server, **other: str) -> BucketAccess:
    return BucketAccess(s3.endpoint, "", KEY, SECRET)._replace(**other)


async def _advice(storage: Storage) -> str:
    with pytest.raises(Unavailable) as caught:
        await storage.examine()
    assert (caught.value.code, caught.value.retry_after) == ("storage_unavailable", 5)
    assert caught.value.__cause__ is not None
    return buckets.advice(caught.value.__cause__)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"secret_access_key": "wrong"}, "SMARTVOICE_S3_SECRET_ACCESS_KEY"),
        ({"access_key_id": "wrong"}, "SMARTVOICE_S3_ACCESS_KEY_ID"),
        ({"access_key_id": READER}, "allow it to get, put, delete and list"),
        ({"endpoint": "http://127.0.0.1:9"}, "SMARTVOICE_S3_ENDPOINT"),
    ],
)
async def test_refusal_says_what_to_mend(s3: S3Server, other: dict[str, str], said: str) -> None:
    begun = time.monotonic()
    assert said in await _advice(Storage(s3.bucket(), _access(s3, **other)))
    assert time.monotonic() - begun < 15


async def test_standard_variables_are_enough(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    await Storage(s3.bucket()).examine()


async def test_link_opens_one_object_for_a_while(s3: S3Server) -> None:
    storage = Storage(s3.bucket(), _access(s3))
    await storage.put("u-alice/a.mp3", b"0123456789", "audio/mpeg")
    await storage.put("u-alice/b.mp3", b"other")
    link = await storage.link("u-alice/a.mp3", 3)
    async with httpx.AsyncClient(trust_env=False) as anyone:
        part = await anyone.get(link, headers={"Range": "bytes=2-4"})
        assert (part.status_code, part.content, part.headers["content-type"]) == (206, b"234", "audio/mpeg")
        assert (await anyone.get(link.replace("a.mp3", "b.mp3"))).status_code == httpx.codes.FORBIDDEN
        assert (await anyone.get(link.partition("?")[0])).status_code == httpx.codes.FORBIDDEN

        async def over() -> bool:
            return (await anyone.get(link)).status_code == httpx.codes.FORBIDDEN

        await until(over)


async def test_bucket_that_was_away_is_used_again(s3: S3Server) -> None:
    async with Door(s3.endpoint) as door:
        storage = Storage(s3.bucket(), _access(s3, endpoint=door.address))
        await storage.put("u-alice/a", b"here")
        await door.shut()
        for use in (storage.put("u-alice/b", b""), storage.get("u-alice/a"), storage.delete(["u-alice/a"])):
            with pytest.raises(Unavailable):
                await use
        await door.open()
        assert await storage.get("u-alice/a") == b"here"


async def test_oldest_segments_of_a_bucket_make_room(s3: S3Server, settings: Any) -> None:
    storage = Storage(s3.bucket(), _access(s3))
    for number in range(3):
        await storage.put(f"{SEGMENTS}/u-alice/p1/{number}.flac", bytes(100))
        # Its clock tells whole seconds: the next one must be younger.
        put = datetime.now(UTC)
        await until(lambda put=put: datetime.now(UTC) > put.replace(microsecond=0) + timedelta(seconds=1))
    assert (await sweep_segments(storage, settings))[0] == 0
    assert (await sweep_segments(storage, settings.model_copy(update={"max_segment_bytes": 250})))[0] == 1
    assert sorted([file.path[-6:] async for file in storage.files(SEGMENTS)]) == ["1.flac", "2.flac"]
    assert (await sweep_segments(storage, settings.model_copy(update={"segment_days": 1e-9})))[0] == 2
    assert await asyncio.wait_for(anext(storage.files(SEGMENTS), None), 10) is None


def test_digits_of_a_name_are_no_status() -> None:
    error = OSError("Error performing PUT http://127.0.0.1:9/b/2404540306c403/.check: error sending request")
    assert "SMARTVOICE_S3_ENDPOINT" in buckets.advice(error)
