"""A web process that is told to go says goodbye to each of its 1000 streams, at a moment of its own."""

from __future__ import annotations

import asyncio
import signal

import httpx

from tests.faults.readers import Crowd, SseReader
from tests.faults.rig import Rig, Web
from tests.support import until

USERS = 50
STREAMS = 1000
DRAIN = 3
AFTERWARDS = 3
PARTS = 3


async def refuses_new_readers(web: Web) -> bool:
    """Whether nobody new would be sent to this process."""
    async with httpx.AsyncClient(base_url=web.address, trust_env=False) as http:
        try:
            return (await http.get("/readyz")).status_code == httpx.codes.SERVICE_UNAVAILABLE
        except httpx.TransportError:
            return True


async def test_drain_says_goodbye_to_everyone_spread_over_the_grace_period(rig: Rig) -> None:
    web = await rig.web(drain_seconds=DRAIN)
    users = [f"user{number % USERS}" for number in range(STREAMS)]
    crowd = Crowd(SseReader([web.port], user, rig.token(user), returns=False) for user in users)
    async with crowd.reading():
        begin = asyncio.get_running_loop().time()
        web.send(signal.SIGTERM)
        await until(lambda: refuses_new_readers(web), DRAIN)
        await until(crowd.ended, DRAIN + AFTERWARDS)
        await until(web.ended, DRAIN + AFTERWARDS)
    goodbyes = [goodbye for reader in crowd.readers for goodbye in reader.goodbyes]
    assert [len(reader.goodbyes) for reader in crowd.readers] == [1] * STREAMS
    assert all(set(data) == {"retryMs"} and data["retryMs"] > 0 for _, data in goodbyes)
    assert len({data["retryMs"] for _, data in goodbyes}) > STREAMS / 10
    assert max(reader.ended_at for reader in crowd.readers) - begin <= DRAIN + AFTERWARDS
    check_spread([moment for moment, _ in goodbyes])
    assert "Traceback" not in web.output
    assert web.wait() == 0, web.output


def check_spread(moments: list[float]) -> None:
    """From the first to the last each third of the time has at least half of its share."""
    first, span = min(moments), max(moments) - min(moments)
    assert span > DRAIN / 2
    for part in range(PARTS):
        share = sum(part * span / PARTS <= moment - first <= (part + 1) * span / PARTS for moment in moments)
        assert share >= len(moments) / PARTS / 2, sorted(moments)
