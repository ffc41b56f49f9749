"""The web side as it is started: its settings reach its connections."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest

from app.core.settings import Settings
from app.server.connections import ConnectionLimits, Connections
from tests.faults.rig import rigged
from tests.server.test_streams import wired


async def test_web_process_has_its_times_and_room_for_its_connections() -> None:
    async with rigged() as rig:
        web = await rig.web(head_seconds=0.5, max_streams=500, max_connections=500)
        async with wired(web.address, "none") as wire:
            wire.sink.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
            answer = await wire.rest()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"too_slow"' in answer
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        [line] = [one for one in Path(f"/proc/{web.pid}/limits").read_text().splitlines() if "open files" in one]
        assert line.split()[3] == "unlimited" or int(line.split()[3]) >= min(2000, hard)


@pytest.mark.parametrize(
    ("host", "proxies", "address", "counted"),
    [
        ("127.0.0.1", "", "127.0.0.1", ""),
        ("::1", "", "::1", ""),
        ("0.0.0.0", "", "127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "10.0.0.0/8", "10.1.2.3", ""),
        ("0.0.0.0", "10.0.0.0/8", "192.0.2.7", "192.0.2.7"),
        ("::", "10.0.0.0/8", "::ffff:10.1.2.3", ""),
        ("::", "", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::", "", "fe80::1%eth0", "fe80::/64"),
    ],
)
async def test_addresses_are_counted_but_for_proxies_and_this_machine(
    settings: Settings, host: str, proxies: str, address: str, counted: str
) -> None:
    limits = ConnectionLimits.of(settings.model_copy(update={"host": host, "trusted_proxies": proxies}))
    assert limits.max_connections_per_address == settings.max_connections_per_address
    assert Connections(limits, asyncio.get_running_loop()).address(address) == counted
