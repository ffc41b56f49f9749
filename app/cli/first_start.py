"""What `smartvoice up` does once, when all of it serves: it adds the sample project, and prints a sign-in link.

A process of its own: what it imports, storage and projects and all, would stay with the one that watches for ever.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from rich.console import Console

from app.auth.sessions import Sessions
from app.cli.sample import add_sample
from app.core.errors import Problem
from app.core.redis.client import connect
from app.core.settings import Settings
from app.core.telemetry.logs import configure_logs

console = Console(stderr=True, highlight=False)


async def welcome(settings: Settings, user: str, *, sample: bool) -> None:
    """Does it for `user`. Raises Problem."""
    async with connect(settings.redis, patient=True) as redis:
        if sample:
            await add_sample(redis, settings, user)
        token = await Sessions(redis, settings).link(user)
    console.print()
    console.print("  [bold]SmartVoice is running.[/]")
    console.print(f"  Sign in as {user}, once, by this link:")
    # Alone on its line and never wrapped, so that it can be copied, and found by a script.
    console.print(f"  [cyan]{settings.address}/signin#link={token}[/]", soft_wrap=True)
    console.print(f"  Everything is kept in {settings.data_dir.absolute()}. Ctrl-C stops it.", soft_wrap=True)
    console.print()


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("user")
    parser.add_argument("--sample", action="store_true")
    given = parser.parse_args()
    configure_logs()
    try:
        asyncio.run(welcome(Settings(), given.user, sample=given.sample))
    except Problem as problem:
        console.print(str(problem), style="red", markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
