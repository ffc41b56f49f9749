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

from app.core.models import new_id
from app.core.s3 import Access, open_bucket
from app.core.settings import Settings
from tests.stack import free_port

KEY, SECRET = "a-key-of-the-tests", "a-secret-of-the-tests"
READER = "a-reader-of-the-tests"
"""The key, with the same secret, of one who may only look."""
_START_SECONDS = 30


@dataclass(frozen=True)
class S3Server:
    """A server at `endpoint`, which makes as many buckets as a test wants."""

    endpoint: str

    def bucket(self) -> str:
        """The URL of a prefix in a new bucket."""
        name = f"b-{new_id()}"
        # What makes a bucket is the same request that puts an object, with nothing after the bucket's name.
        store = open_bucket(f"s3://{name}", Access(self.endpoint, "us-east-1", KEY, SECRET))
        made = httpx.put(obstore.sign(store, "PUT", "", timedelta(minutes=1)), trust_env=False)
        assert made.is_success, made.text
        return f"s3://{name}/smartvoice"

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
        "volume.max": 100,
        "s3.port": ports[-1],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.config": folder / "s3.json",
    }
    weed = str(Path(sys.executable).parent / "weed")
    return [weed, "server", "-filer", "-s3", *(f"-{name}={value}" for name, value in options.items())]


def _wait(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            # Its door opens before the rooms behind it do: only a bucket that is made shows that all are there.
            S3Server(endpoint).bucket()
            return
        except (httpx.HTTPError, AssertionError):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


def placed(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """`settings` for the place that a fixture's parameter names: a `folder`, or a new `bucket`."""
    if request.param == "folder":
        return settings
    server: S3Server = request.getfixturevalue("s3")
    return settings.model_copy(update={**server.settings(), "s3_secret_access_key": SecretStr(SECRET)})
