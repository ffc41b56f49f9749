"""The same promises of a folder and of a bucket that speaks S3."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from app.core.errors import NotFound
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from tests.s3 import placed


@pytest.fixture(params=["folder", "bucket"])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return placed(settings, request)


async def _paths(storage: Storage, prefix: str) -> list[str]:
    return sorted([file.path async for file in storage.files(prefix)])


async def test_what_is_put_is_got_whole_and_in_parts(storage: Storage) -> None:
    await storage.put("u-alice/a", b"0123456789", "audio/mpeg")
    assert await storage.get("u-alice/a") == b"0123456789"
    size, etag = await storage.size("u-alice/a")
    assert (size, etag[0], etag[-1]) == (10, '"', '"')
    assert b"".join([chunk async for chunk in storage.chunks("u-alice/a", 3, 7)]) == b"3456"
    await storage.put("u-alice/a", b"another")
    assert await storage.get("u-alice/a") == b"another"
    assert (await storage.size("u-alice/a"))[1] != etag


async def test_file_of_many_pieces_comes_back_as_it_was(storage: Storage, tmp_path: Path) -> None:
    content = os.urandom(13_000_000)  # S3 takes pieces of 5 MiB
    (tmp_path / "in").write_bytes(content)
    await storage.put("u-alice/big", tmp_path / "in")
    await storage.fetch("u-alice/big", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content
    middle = b"".join([chunk async for chunk in storage.chunks("u-alice/big", 5_000_000, 11_000_000)])
    assert middle == content[5_000_000:11_000_000]


async def test_what_is_not_there_is_not_found(storage: Storage) -> None:
    assert not await storage.has("u-alice/none")
    for look in (storage.get("u-alice/none"), storage.size("u-alice/none"), anext(storage.chunks("none", 0, 1))):
        with pytest.raises(NotFound):
            await look
    assert await _paths(storage, "u-alice") == []
    await storage.delete(["u-alice/none"])
    await storage.delete_all("u-alice")


async def test_all_below_a_prefix_is_listed_and_deleted_and_nothing_beside_it(storage: Storage) -> None:
    # More than one answer of S3 holds, and than one of its deletions takes.
    names = [f"u-alice/p1/{number:04}" for number in range(1010)]
    for start in range(0, len(names), 101):
        await asyncio.gather(*(storage.put(name, b"x") for name in names[start : start + 101]))
    await storage.put("u-alice/p10/beside", b"x")
    assert await _paths(storage, "u-alice/p1") == names
    await storage.delete([names[0], "u-alice/p1/none", names[1]])
    assert await _paths(storage, "u-alice/p1") == names[2:]
    await storage.delete_all("u-alice/p1")
    assert await _paths(storage, "u-alice") == ["u-alice/p10/beside"]


async def test_everything_that_is_ever_done_can_be_tried(storage: Storage) -> None:
    await storage.examine()
    assert await _paths(storage, "") == []
