"""However much is sent, and however oddly it is named, memory and disk stay as they are."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.settings import Settings
from tests.conftest import serve, signed_in
from tests.faults.rig import Rig, Web, rigged
from tests.support import Client, until

MIB = 1024 * 1024
TEN_GIGABYTES = 10 * 1000**3
FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'


def peak_mb(pid: int, *, reset: bool = False) -> float:
    """The most memory that a process has had resident, since it began or since this was asked with `reset`."""
    if reset:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def used_mb(folder: Path) -> float:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) / MIB


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with rigged() as rig:
        yield rig


async def open_upload(rig: Rig, web: Web, *headers: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    source, sink = await asyncio.open_connection("127.0.0.1", web.port)
    lines = ["POST /api/projects HTTP/1.1", "Host: localhost", f"Authorization: Bearer {rig.token('alice')}"]
    sink.write("\r\n".join([*lines, *headers, "", ""]).encode())
    return source, sink


async def test_upload_of_ten_gigabytes_is_cut_off_while_memory_and_disk_stay_flat(rig: Rig) -> None:
    web = await rig.web()
    before = peak_mb(web.pid, reset=True)
    source, sink = await open_upload(
        rig, web, "Content-Type: multipart/form-data; boundary=x", "Transfer-Encoding: chunked"
    )
    chunk = b"%x\r\n%b\r\n" % (MIB, b"x" * MIB)
    sink.write(b"%x\r\n%b\r\n" % (len(FORM), FORM))
    answering = asyncio.create_task(source.readuntil(b"}"))
    sent = 0
    with suppress(OSError):
        while sent < TEN_GIGABYTES:
            sink.write(chunk)
            await sink.drain()
            sent += MIB
    answer = await answering
    sink.close()
    grown = peak_mb(web.pid) - before
    print(f"10 GB chunked: cut off after {sent / MIB:.0f} MiB, memory grew by {grown:.1f} MB")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"body_too_large"' in answer
    assert sent < 1000 * MIB
    assert grown < 20
    assert used_mb(rig.settings.data_dir) < 1
    assert not spooled(web.pid)


def spooled(pid: int) -> list[str]:
    """The files without a name that a process has open: uploads on their way."""
    links = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            links.append(str(path.readlink()))
    return [link for link in links if link.startswith(tempfile.gettempdir()) and "(deleted)" in link]


async def test_manuscript_of_the_largest_size_goes_through_without_being_held_in_memory(rig: Rig) -> None:
    web = await rig.web(max_characters=100_000_000)
    content = b"".join(b"%07d\n" % number for number in range(50 * MIB // 8 - 100))
    async with httpx.AsyncClient(base_url=web.address, trust_env=False, timeout=60) as http:
        http.headers["Authorization"] = f"Bearer {rig.token('alice')}"
        assert (await http.post("/api/projects", files={"file": ("a.txt", content[:MIB])})).is_success
        before = peak_mb(web.pid, reset=True)
        answer = await http.post("/api/projects", files={"file": ("b.txt", content)})
    grown = peak_mb(web.pid) - before
    print(f"{len(content) / MIB:.0f} MiB stored, memory grew by {grown:.1f} MB")
    assert answer.status_code == httpx.codes.CREATED, answer.text
    [stored] = [path for path in rig.settings.data_dir.rglob("manuscript") if answer.json()["id"] in str(path)]
    assert _digest(stored.read_bytes()) == _digest(content)
    assert grown < 40


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def test_upload_that_is_broken_off_leaves_nothing(rig: Rig) -> None:
    web = await rig.web()
    _, sink = await open_upload(
        rig, web, "Content-Type: multipart/form-data; boundary=x", f"Content-Length: {40 * MIB}"
    )
    sink.write(FORM + b"x" * 8 * MIB)
    await sink.drain()
    await until(lambda: spooled(web.pid))
    sink.transport.abort()
    await until(lambda: not spooled(web.pid))
    assert used_mb(rig.settings.data_dir) < 1
    assert "Traceback" not in web.output


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: " + b"x" * MIB,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Many: x\r\n" * 100_000,
        b"GET /" + b"x" * MIB,
        b"G" * MIB,
    ],
    ids=["a field without end", "a large field", "many fields", "an address without end", "a method without end"],
)
async def test_head_too_large_is_refused(rig: Rig, head: bytes) -> None:
    web = await rig.web()
    before = peak_mb(web.pid, reset=True)
    source, sink = await asyncio.open_connection("127.0.0.1", web.port)
    sink.write(head)
    async with asyncio.timeout(20):
        answer = await source.read(4096)
    sink.close()
    assert int(answer.split()[1]) in {400, 431}
    assert peak_mb(web.pid) - before < 5


NAMES = [
    "evil\r\nX-Injected: yes.txt",
    'quo"ted.txt',
    "😀🎉.txt",
    "x" * 4096 + ".txt",
    "../../../etc/passwd.txt",
    "/etc/passwd.txt",
    "..\\..\\boot.txt",
    "\u202egpj.txt",
    "nul\0byte.txt",
    ".txt.txt",
    "<img src=x onerror=alert(1)>.txt",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_filename_is_a_title_at_most_and_never_a_path(alice: Client, settings: Settings, name: str) -> None:
    answer = await alice.http.post("/api/projects", files={"file": (name, b"Hello.")})
    assert answer.status_code == httpx.codes.CREATED, answer.text
    created: dict[str, Any] = answer.json()
    assert 0 < len(created["title"]) <= 100
    assert not set(created["title"]) & set("\r\n\0\u202e")
    assert "x-injected" not in answer.headers
    storage = settings.data_dir / "storage"
    assert [path.relative_to(storage).as_posix() for path in storage.rglob("*") if path.is_file()] == [
        f"u-alice/projects/{created['id']}/manuscript"
    ]


async def test_text_that_must_be_too_long_is_refused_at_once(settings: Settings) -> None:
    narrow = settings.model_copy(update={"max_characters": 1000})
    async with serve(narrow) as address, signed_in(address, narrow, "alice") as alice:
        answer = await alice.http.post("/api/projects", files={"file": ("a.txt", b"word " * 801)})
        assert (answer.status_code, answer.json()["code"]) == (413, "too_many_characters")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030", "big5", "utf-16-le"])
async def test_character_cut_in_two_by_the_look_does_no_harm(alice: Client, encoding: str) -> None:
    for padding in range(4):
        content = ("a" * padding + "他走了很久，然後回到家中。" * 20_000).encode(encoding)
        answer = await alice.http.post("/api/projects", files={"file": ("a.txt", content)})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        assert answer.json()["language"] == "zh-CN"


async def test_pasted_text_larger_than_json_may_be_is_refused(settings: Settings) -> None:
    narrow = settings.model_copy(update={"max_json_bytes": 2000})
    async with serve(narrow) as address, signed_in(address, narrow, "alice") as alice:
        answer = await alice.http.post("/api/projects", json={"text": "word " * 400})
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        created = await alice.create("Hello.")
        url = f"/api/projects/{created['id']}/chapters/x"
        answer = await alice.http.patch(url, json={"text": "word " * 400})
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
