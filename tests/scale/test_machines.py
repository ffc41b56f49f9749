"""Two web and two worker machines behind nginx; one of each is cut off, nobody is told, and nothing is lost.

`SMARTVOICE_CUT_SECONDS` sets for how long (30 with `make cut`).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from redis.exceptions import RedisError

from app.auth.bearer_tokens import Tokens
from app.core.redis.client import connect
from tests import redis_servers
from tests.browser.nginx import nginx_binary
from tests.deploy.proxies import DEPLOY, NGINX, changed
from tests.faults.readers import Crowd, SseReader, logged
from tests.faults.rig import Process
from tests.scale.book import Book, check_log, check_readers
from tests.scale.network import Machine, Network, cabled
from tests.support import until

SECONDS = int(os.environ.get("SMARTVOICE_CUT_SECONDS", "10"))  # longer than a lease
_SECRET = "a secret of the tests, and of nobody else"


@pytest.mark.timeout(SECONDS + 240)
async def test_machines_that_are_cut_off_and_come_back_lose_nothing() -> None:
    with cabled(4) as network:
        webs, workers = network.machines[:2], network.machines[2:]
        async with _running(network, webs, workers) as address:
            token = Tokens(_SECRET.encode()).sign("alice", 3600)
            host = network.switch.address
            readers = [_Reader([8080], "alice", token, host=host) for _ in range(6)]
            headers = {"Authorization": f"Bearer {token}"}
            http = httpx.AsyncClient(base_url=address, headers=headers, trust_env=False, timeout=10)
            async with http, Crowd(readers).reading(), connect(_redis(network), patient=True) as redis:
                book = Book(http)
                await book.make()
                await book.narrate()
                await book.done(1)
                cut = (webs[0], workers[0])
                for machine in cut:
                    network.pull(machine)
                await asyncio.sleep(SECONDS)  # it is the length of the cut that is tried
                for machine in cut:
                    network.plug(machine)
                await book.done()
                log = await logged(redis, "alice")
                check_log(log)
                await check_readers(readers, log)
                assert sum(reader.connections for reader in readers) > len(readers)


class _Reader(SseReader):
    """A reader that comes over the network."""

    def __init__(self, ports: list[int], user: str, token: str, host: str) -> None:
        super().__init__(ports, user, token)
        self._host = host

    async def _open(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, port)


def _redis(network: Network) -> str:
    return f"redis://{network.switch.address}:6379"


@asynccontextmanager
async def _running(network: Network, webs: list[Machine], workers: list[Machine]) -> AsyncIterator[str]:
    """Everything on its machine; the address of nginx."""
    folder = Path(tempfile.mkdtemp(prefix="sv-"))
    shared = {"SMARTVOICE_REDIS_URL": _redis(network), "SMARTVOICE_SECRET_KEY": _SECRET}
    shared |= {"SMARTVOICE_DATA_DIR": str(folder / "data"), "SMARTVOICE_HEARTBEAT_SECONDS": "1"}
    smartvoice = [sys.executable, "-m", "app.cli"]
    redis = [
        *redis_servers.command(folder),
        "--port",
        "6379",
        "--bind",
        network.switch.address,
        "--protected-mode",
        "no",
    ]
    processes = [Process(network.switch.command(redis), folder, {}, "redis")]
    processes += [
        Process(one.command([*smartvoice, "web"]), folder, {**shared, "SMARTVOICE_HOST": one.address}, one.name)
        for one in webs
    ]
    processes += [
        Process(one.command([*smartvoice, "worker", "--processes", "1"]), folder, shared, one.name) for one in workers
    ]
    processes.append(Process(network.switch.command(_nginx(folder, network, webs)), folder, {}, "nginx"))
    try:
        processes[0].start()
        await until(lambda: _answers(_redis(network)))
        for process in processes[1:]:
            process.start()
        addresses = [f"http://{one.address}:8000" for one in webs] + [f"http://{network.switch.address}:8080"]
        for address in addresses:
            await until(lambda address=address: _ready(address), 60)
        await until(lambda: all("ready for action" in one.output for one in processes[3:5]), 60)
        yield addresses[-1]
    finally:
        for process in reversed(processes):
            process.close()
        shutil.rmtree(folder)


async def _answers(url: str) -> bool:
    with suppress(RedisError, OSError):
        async with connect(url) as client:
            return bool(await client.ping())
    return False


async def _ready(address: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as http:
        with suppress(httpx.HTTPError):
            return (await http.get(f"{address}/readyz")).status_code == httpx.codes.OK
    return False


def _nginx(folder: Path, network: Network, webs: list[Machine]) -> list[str]:
    """What deploy/ says, but without HTTPS, and sooner to give up on who is silent."""
    changes = {f"127.0.0.1:{8001 + number}": f"{one.address}:8000" for number, one in enumerate(webs)}
    changes |= {"listen 443 ssl http2": f"listen {network.switch.address}:8080", "listen 80;": "listen 127.0.0.1:80;"}
    changes |= {"    ssl_": "    # ssl_", "proxy_read_timeout 90s": "proxy_read_timeout 4s"}
    (folder / "smartvoice.conf").write_text(changed(DEPLOY / "nginx" / "smartvoice.conf", changes))
    user = "user root;"
    (folder / "nginx.conf").write_text(NGINX.format(user=user, folder=folder))
    return [nginx_binary(), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
