"""What the tests run on: a real Redis, the real application on a real server, and the way in."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.auth.bearer_tokens import Tokens
from app.cli import embedded_redis
from app.core.eventlog.log import EventLog
from app.core.jobs.service import Jobs
from app.core.projects.service import Projects
from app.core.redis.client import connect
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from app.main import create_app
from app.server.connections import ConnectionLimits
from app.server.uvicorn_protocol import ProtocolFactory
from tests import redis_servers
from tests.s3 import S3Server, running_s3
from tests.secret_leaks import leaks
from tests.stack import Stack, running
from tests.support import Client, HandWorker, NoDispatcher, until

pytest_plugins = ["tests.leftovers", "tests.measurements"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that passes fails all the same if a log says what no log may."""
    report = yield
    found = [leak for name, content in report.sections if "Captured" in name for leak in leaks(content)]
    if found and report.passed:
        report.outcome = "failed"
        report.longrepr = "\n".join(["The log says what it must not:", *found])
    return report


@pytest.fixture(scope="session")
def redis_folder() -> Iterator[Path]:
    """The folder of a real Redis that runs as long as the tests; short, because a socket's path must be."""
    folder = Path(tempfile.mkdtemp(prefix="sv-"))
    process = subprocess.Popen(redis_servers.command(folder))
    try:
        _wait_for_redis(folder)
        yield folder
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def _wait_for_redis(folder: Path) -> None:
    deadline = time.monotonic() + 20
    with BlockingRedis(unix_socket_path=str(embedded_redis.socket_of(folder))) as client:
        while True:
            try:
                client.ping()
                return
            except (RedisError, OSError):
                assert time.monotonic() < deadline, "Redis did not start"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The whole of SmartVoice, as `smartvoice up` starts it, for all tests that do with its defaults and a user of
    their own: to start and to stop it takes four seconds of a core."""
    with running() as stack:
        yield stack


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A real server that speaks S3, started at the first need."""
    with running_s3() as server:
        yield server


@pytest.fixture
def settings(redis_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a fresh installation: an empty Redis, an empty folder, nothing from this machine's environment."""
    monkeypatch.chdir(tmp_path)
    with BlockingRedis(unix_socket_path=str(embedded_redis.socket_of(redis_folder))) as client:
        client.flushall()
    return Settings(
        data_dir=tmp_path / "data",
        redis_url=f"unix://{embedded_redis.socket_of(redis_folder)}",
        heartbeat_seconds=0.5,
        drain_seconds=0.2,
    )


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    client = connect(settings.redis)
    yield client
    await client.aclose()


@pytest.fixture
def log(redis: Redis, settings: Settings) -> EventLog:
    return EventLog(redis, settings)


@pytest.fixture
def jobs(redis: Redis, log: EventLog, settings: Settings) -> Jobs:
    return Jobs(redis, log, settings, NoDispatcher())


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return Storage.of(settings)


@pytest.fixture
def projects(redis: Redis, storage: Storage, jobs: Jobs, settings: Settings) -> Projects:
    return Projects(redis, storage, jobs, settings)


@pytest.fixture
def worker(jobs: Jobs, projects: Projects) -> HandWorker:
    return HandWorker(jobs, projects)


class _PromptServer(uvicorn.Server):
    """Looks every 10 ms, not every 100, whether it is to stop: each test waits for that."""

    async def main_loop(self) -> None:
        while not self.should_exit:
            await self.on_tick(0)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[str]:
    """The application on a real server in this process; its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            create_app(settings),
            http=ProtocolFactory(ConnectionLimits.of(settings)),  # type: ignore[arg-type] # it is called, as a class is
            log_level="warning",
            timeout_graceful_shutdown=5,
            lifespan="on",
            proxy_headers=False,
            server_header=False,
        )
        server = _PromptServer(config)
        task = asyncio.create_task(server.serve([listener]))
        await until(lambda: server.started or task.done())
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@pytest.fixture
async def address(settings: Settings) -> AsyncIterator[str]:
    async with serve(settings) as address:
        yield address


@pytest.fixture
async def anyone(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a credential."""
    async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
async def alice(address: str, settings: Settings) -> AsyncIterator[Client]:
    async with signed_in(address, settings, "alice") as client:
        yield client


@pytest.fixture
async def mallory(address: str, settings: Settings) -> AsyncIterator[Client]:
    """Somebody else, with a credential of their own."""
    async with signed_in(address, settings, "mallory") as client:
        yield client


@asynccontextmanager
async def signed_in(address: str, settings: Settings, user: str) -> AsyncIterator[Client]:
    token = Tokens(settings.signing_key()).sign(user, 3600)
    async with httpx.AsyncClient(
        base_url=address, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30
    ) as client:
        yield Client(client)
