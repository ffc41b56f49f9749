"""The audio, whole and in parts."""

from __future__ import annotations

import httpx
import pytest

from app.core.settings import Settings
from app.core.storage.object_store import Storage
from app.core.storage.paths import audio_path
from tests.s3 import placed
from tests.support import Client

NAME = "-".join(["a" * 20, "b" * 20, "c" * 20])
CONTENT = bytes(range(256)) * 4096
URL = f"/audios/{NAME}.mp3"


@pytest.fixture(params=["folder", "bucket"])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return placed(settings, request)


@pytest.fixture(autouse=True)
async def audio(storage: Storage) -> None:
    await storage.put(audio_path("alice", NAME), CONTENT)


async def test_audio_comes_whole(alice: Client) -> None:
    answer = await alice.http.get(URL)
    assert answer.content == CONTENT
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["accept-ranges"] == "bytes"
    assert "private" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=1000000-", 1_000_000, len(CONTENT)),
        ("bytes=-500", len(CONTENT) - 500, len(CONTENT)),
        ("bytes=0-99999999", 0, len(CONTENT)),
        (f"bytes=-{len(CONTENT) * 2}", 0, len(CONTENT)),
    ],
)
async def test_part_that_is_asked_for_comes(alice: Client, asked: str, start: int, end: int) -> None:
    answer = await alice.http.get(URL, headers={"Range": asked})
    assert answer.status_code == httpx.codes.PARTIAL_CONTENT
    assert answer.content == CONTENT[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"


@pytest.mark.parametrize("asked", [f"bytes={len(CONTENT)}-", "bytes=5-2", "bytes=-0"])
async def test_part_outside_is_416(alice: Client, asked: str) -> None:
    answer = await alice.http.get(URL, headers={"Range": asked})
    assert answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize("asked", ["lines=1-2", "bytes=0-1,5-6", "bytes=x", "bytes=-", "bytes"])
async def test_range_that_is_not_understood_is_left_out_of_account(alice: Client, asked: str) -> None:
    answer = await alice.http.get(URL, headers={"Range": asked})
    assert (answer.status_code, len(answer.content)) == (200, len(CONTENT))


async def test_audio_that_the_client_has_is_not_sent_again(alice: Client) -> None:
    etag = (await alice.http.get(URL)).headers["etag"]
    again = await alice.http.get(URL, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    changed = await alice.http.get(URL, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (changed.status_code, len(changed.content)) == (200, len(CONTENT))


async def test_head_tells_the_size(alice: Client) -> None:
    answer = await alice.http.head(URL)
    assert (answer.headers["content-length"], answer.content) == (str(len(CONTENT)), b"")
