"""Clients that offer to go on with another protocol are answered in HTTP/1.1, bodies and all (RFC 9110, 7.8)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.programs import program
from tests.server.echo import Echo, serving

SIZES = (5, 0, 100_000)


@pytest.fixture(scope="module")
def server() -> Iterator[Echo]:
    with serving(Echo()) as echo:
        yield echo


@pytest.fixture
def echo(server: Echo) -> Echo:
    server.requests.clear()
    return server


def _offers(echo: Echo) -> int:
    """Requests that came with HTTP/2 settings, so that the test is one of an offer."""
    return sum(b"http2-settings" in dict(request.headers) for request in echo.requests)


def test_java_posts_with_its_offer_of_http2(echo: Echo) -> None:
    program("javac")
    source = Path(__file__).parent / "Post.java"
    command = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", str(source), f"http://127.0.0.1:{echo.port}/java"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [f"200 {size + 2}" for size in SIZES for _ in range(2)] * 3, done.stderr
    assert _offers(echo) >= 3
    assert [len(request.body) for request in echo.requests] == [size for size in SIZES for _ in range(2)] * 3


@pytest.mark.parametrize("chunked", [False, True], ids=["its size told", "chunked"])
def test_curl_posts_with_its_offer_of_http2(echo: Echo, chunked: bool, tmp_path: Path) -> None:
    program("curl")
    (tmp_path / "large").write_bytes(b"x" * 2_000_000)
    url = f"http://127.0.0.1:{echo.port}/curl"
    fields = ["-H", "Transfer-Encoding: chunked"] if chunked else []
    for body in ("hello", f"@{tmp_path / 'large'}"):
        command = ["curl", "-sS", "--http2", *fields, "--data-binary", body, url, url]
        done = subprocess.run(command, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
    assert [len(request.body) for request in echo.requests] == [5, 5, 2_000_000, 2_000_000]
    assert _offers(echo) >= 2
