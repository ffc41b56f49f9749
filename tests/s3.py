"""A real server that speaks S3 and checks signatures: SeaweedFS, started once for each process that runs tests."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import obstore
import pytest
from pydantic import SecretStr

from app.core.bucket import BucketAccess
from app.core.ids import new_id
from app.core.settings import Settings
from app.core.storage.s3 import open_bucket
from tests.stack import free_port

KEY, SECRET = "a-key-of-the-tests", "a-secret-of-the-tests"
READER = "a-reader-of-the-tests"
"""The key, with the same secret, of one who may only look."""
_BUCKET = "b-tests"
_START_SECONDS = 30


@dataclass(frozen=True)
class S3Server:
    """A server at `endpoint` with one bucket, in which each test has a prefix of its own.

    (SeaweedFS gives each bucket several volumes, of which a server has only so many.)
    """

    endpoint: str

    def bucket(self) -> str:
        """The URL of a new prefix in the bucket."""
        return f"s3://{_BUCKET}/{new_id()}"

    def settings(self) -> dict[str, object]:
        """SmartVoice's settings for a new bucket."""
        return {
            "storage_url": self.bucket(),
            "s3_endpoint": self.endpoint,
            "s3_access_key_id": KEY,
            "s3_secret_access_key": SECRET,
        }


@contextmanager
def running_s3() -> Iterator[S3Server]:
    """Starts it in a folder of its own; nothing is left of it."""
    folder = Path(tempfile.mkdtemp(prefix="sv-s3-"))
    ports = [free_port() for _ in range(8)]
    log = (folder / "weed.log").open("wb")
    process = subprocess.Popen(_command(folder, ports), stdout=log, stderr=log, cwd=folder)
    server = S3Server(f"http://127.0.0.1:{ports[-1]}")
    try:
        _wait(server.endpoint, process, folder / "weed.log")
        yield server
        assert process.poll() is None, (folder / "weed.log").read_text()
    finally:
        process.kill()
        process.wait(20)
        log.close()
        shutil.rmtree(folder)


def _command(folder: Path, ports: list[int]) -> list[str]:
    whole = ["Admin", "Read", "Write", "List", "Tagging"]
    identities = [
        {"name": key, "credentials": [{"accessKey": key, "secretKey": SECRET}], "actions": actions}
        for key, actions in ((KEY, whole), (READER, ["Read", "List"]))
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    parts = ["master", "volume", "filer"]
    places = {f"{part}.port": port for part, port in zip(parts, ports, strict=False)}
    inner = {f"{part}.port.grpc": port for part, port in zip([*parts, "s3"], ports[3:7], strict=True)}
    options = {
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        **places,
        **inner,
        "master.volumeSizeLimitMB": 64,
        # Those that one bucket grows, and as many for what the filer keeps for itself.
        "volume.max": 16,
        "s3.port": ports[-1],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.config": folder / "s3.json",
    }
    weed = str(Path(sys.executable).parent / "weed")
    return [
        weed,
        f"-logdir={folder}",
        "server",
        "-filer",
        "-s3",
        *(f"-{name}={value}" for name, value in options.items()),
    ]


def _wait(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            # Its door opens before the rooms behind it do: only an object that is kept shows that all are there.
            _put(endpoint, "")
            _put(endpoint, "there")
            return
        except httpx.HTTPError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


def _put(endpoint: str, path: str) -> None:
    """Puts an object; with no path, what is made is the bucket. Raises HTTPError."""
    store = open_bucket(f"s3://{_BUCKET}", BucketAccess(endpoint, "us-east-1", KEY, SECRET))
    answer = httpx.put(
        obstore.sign(store, "PUT", path, timedelta(minutes=1)), content=b"x" if path else b"", trust_env=False
    )
    # A bucket that an earlier round made is as good.
    if path or answer.status_code != httpx.codes.CONFLICT:
        answer.raise_for_status()


def placed(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """`settings` for the place that a fixture's parameter names: a `folder`, or a new `bucket`."""
    if request.param == "folder":
        return settings
    server: S3Server = request.getfixturevalue("s3")
    return settings.model_copy(update={**server.settings(), "s3_secret_access_key": SecretStr(SECRET)})
