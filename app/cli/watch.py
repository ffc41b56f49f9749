"""`smartvoice watch`: prints what happens, live."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

from rich.console import Console
from rich.text import Text

from app.client.api import SmartVoice
from app.client.events import Event

_STYLES = {"progress": "cyan", "complete": "green", "failed": "red", "cancelled": "yellow", "reset": "magenta"}


async def watch(client: SmartVoice, projects: list[str], json_lines: bool) -> None:
    """Prints each event until it is cancelled. Raises ClientError."""
    console = Console(highlight=False)
    async with aclosing(client.follow(None, *projects).events()) as events:
        async for event in events:
            if json_lines:
                print(json.dumps(event._asdict(), ensure_ascii=False, separators=(",", ":")), flush=True)
            else:
                console.print(_line(event), soft_wrap=True)


def _line(event: Event) -> Text:
    verb = event.type.rpartition(":")[2]
    at = event.data.get("at", "")[11:19]
    return Text.assemble((f"{at:8} ", "dim"), (f"{event.type:15} ", _STYLES.get(verb, "")), _said(event.data))


def _said(data: dict[str, Any]) -> str:
    """What an event is about, and what it says of it."""
    about = data.get("chapterId") or data.get("projectId") or ""
    if progress := data.get("progress"):
        eta = f", {progress['etaSeconds']} s left" if progress["etaSeconds"] else ""
        return f"{about} {progress['percentage']}% {progress['message']}{eta}"
    if error := data.get("error"):
        return f"{about} {error['code']}: {error['message']}"
    return f"{about} {data.get('audioUrl') or data.get('downloadUrl') or ''}".rstrip()
