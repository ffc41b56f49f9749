"""What one has is told to oneself, and to administrators."""

from __future__ import annotations

from app.core.settings import Settings
from tests.conftest import serve, signed_in
from tests.support import Client


async def test_usage_tells_what_one_has_and_may_have(alice: Client, settings: Settings) -> None:
    await alice.create("Hello.")
    told = (await alice.http.get("/api/usage")).json()
    assert told["projects"] == {"used": 1, "limit": settings.max_projects}
    assert told["storageBytes"] == {"used": 6, "limit": settings.max_storage_bytes_per_user}
    assert (told["chapters"]["used"], told["segmentBytes"]["used"]) == (0, 0)


async def test_only_administrators_see_what_others_have(settings: Settings) -> None:
    async with serve(settings) as address, signed_in(address, settings, "alice") as alice:
        await alice.create("Hello.")
        async with signed_in(address, settings, "admin") as admin:
            assert (await admin.http.get("/api/usage?user=alice")).json()["projects"]["used"] == 1
            assert (await admin.http.get("/api/usage?user=}{x")).json()["projects"]["used"] == 0
        refused = await alice.http.get("/api/usage?user=admin")
        assert (refused.status_code, refused.json()["code"]) == (403, "not_admin")
