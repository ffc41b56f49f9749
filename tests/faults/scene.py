"""A whole SmartVoice with a voice service that counts, and what must be true of a job whatever happened to it."""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import httpx

from app.core.redis import keys
from app.core.redis.client import names
from app.core.settings import Settings
from tests.faults.readers import ENDS, Told, logged
from tests.faults.rig import Rig, Web, Worker, rigged
from tests.support import until
from tests.tts_server import TtsServer
from tests.workers.conftest import Remembered, Reports
from workers.engines.registry import engine_of
from workers.pipeline.narration import Script, narrate

USER = "alice"
GOES_ON_SECONDS = 15.0
"""How soon a job must go on after its worker died."""

_QUICK = {"tts_engine": "openai", "tts_concurrency": 1, "tts_timeout_seconds": 30, "worker_concurrency": 1}


def paragraphs(count: int) -> list[str]:
    """Paragraphs that are a segment each, and differ."""
    return [f"In year {year} the keeper of the lamp wrote down {year * 7} ships that he saw." for year in range(count)]


@dataclass
class Scene:
    """Redis, a web process, workers as the test starts them, and the voice service."""

    rig: Rig
    web: Web
    http: httpx.AsyncClient
    tts: TtsServer
    settings: dict[str, object] = field(default_factory=dict)

    async def worker(self, *, clock_ahead: int = 0, **settings: object) -> Worker:
        """A worker that speaks with the voice service, one text at a time."""
        mine = {**_QUICK, "tts_url": self.tts.url, **self.settings, **settings}
        return await self.rig.worker(clock_ahead=clock_ahead, **mine)

    async def book(self, texts: list[str], title: str = "The Lamp") -> tuple[str, str]:
        """A project of one chapter with these paragraphs, parsed: its id and the chapter's."""
        made = await self.http.post(
            "/api/projects", json={"title": title, "text": "\n\n".join(texts), "language": "en"}
        )
        assert made.status_code == httpx.codes.CREATED, made.text
        project = made.json()["id"]

        async def parsed() -> Any:
            return (await self.project(project))["chapters"]

        [chapter] = await until(parsed)
        return project, chapter["id"]

    async def project(self, project: str) -> dict[str, Any]:
        answer = await self.http.get(f"/api/projects/{project}")
        assert answer.status_code == httpx.codes.OK, answer.text
        return dict(answer.json())

    async def narrate(self, project: str, chapter: str) -> str:
        """The id of a job that narrates the chapter."""
        answer = await self.http.post(f"/api/projects/{project}/chapters/{chapter}/audio")
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return str(answer.json()["id"])

    async def job(self, job: str, queue: str = "audio-generation") -> dict[str, Any]:
        answer = await self.http.get(f"/api/jobs/{queue}/{job}")
        assert answer.status_code == httpx.codes.OK, answer.text
        return dict(answer.json())

    async def ended(self, job: str, timeout: float = 60, queue: str = "audio-generation") -> dict[str, Any]:
        """The job, once it has ended."""
        found: dict[str, Any] = {}

        async def over() -> bool:
            with suppress(httpx.HTTPError, AssertionError):
                found.update(await self.job(job, queue))
            return found.get("state") in {"completed", "failed", "cancelled"}

        await until(over, timeout)
        return found

    async def events(self, job: str) -> list[tuple[Told, dict[str, Any]]]:
        """What the log says of the job."""
        async with self.rig.client as redis:
            told = [(one, json.loads(one.data)) for one in await logged(redis, USER)]
        return [(one, data) for one, data in told if data["jobId"] == job]

    async def check_one_good_end(self, project: str, job: str, texts: list[str]) -> None:
        """One terminal event, progress that never fell, one file, and in it the sound of an undisturbed run."""
        told = await self.events(job)
        check_progress(told)
        assert [one.type for one, _ in told if one.type in ENDS] == ["audio:complete"]
        assert told[-1][0].type == "audio:complete"
        [chapter] = (await self.project(project))["chapters"]
        sound = await self.http.get(chapter["audioUrl"])
        assert sound.status_code == httpx.codes.OK
        assert [file.name for file in self.files("audio")] == [f"{chapter['audioUrl'].split('-', 1)[1]}"]
        assert decoded(sound.content) == await undisturbed(tuple(texts))

    def check_voiced_once(self, *but: str) -> None:
        """Nothing was voiced twice, but what was on its way when something died."""
        twice = {text for text, count in self.tts.calls.items() if count > 1}
        assert twice <= set(but), twice

    def files(self, kind: str) -> list[Path]:
        """All files below folders of that name in the storage."""
        root = self.rig.settings.data_dir / "storage"
        return sorted(path for path in root.rglob("*") if path.is_file() and kind in path.relative_to(root).parts)

    async def left_of(self, project: str) -> list[str]:
        """Keys and files that bear a project's id, but for the mark that it is deleted."""
        async with self.rig.client as redis:
            found = [name for name in names(await redis.keys("*")) if project in name]
        root = self.rig.settings.data_dir / "storage"
        # `rglob` stumbles over a folder that is removed while it looks.
        every = [f"{folder}/{name}" for folder, _, found_here in os.walk(root) for name in found_here]
        files = [path for path in every if project in path]
        return [name for name in found if name != keys.deleted(USER, project)] + files


@asynccontextmanager
async def staged(variables: Mapping[str, str] | None = None, **settings: object) -> AsyncIterator[Scene]:
    """A scene without workers; `settings` are those of its workers, `variables` others than SmartVoice's."""
    async with rigged(variables=variables) as rig, TtsServer() as tts:
        web = await rig.web()
        async with rig.client_of(web, USER) as http:
            yield Scene(rig, web, http, tts, settings)


def check_progress(told: list[tuple[Told, dict[str, Any]]]) -> None:
    """Attempts follow each other, and within each the percentage never falls."""
    attempts = [data["attempt"] for _, data in told]
    assert attempts == sorted(attempts)
    for _, events in itertools.groupby(told, key=lambda one: one[1]["attempt"]):
        percentages = [data["progress"]["percentage"] for _, data in events if "progress" in data]
        assert percentages == sorted(percentages)


def decoded(mp3: bytes) -> bytes:
    """The samples in an mp3 file."""
    with av.open(io.BytesIO(mp3), "r") as container:
        return b"".join(bytes(frame.planes[0]) for frame in container.decode(audio=0))


_undisturbed: dict[tuple[str, ...], bytes] = {}


async def undisturbed(texts: tuple[str, ...], title: str = "The Lamp") -> bytes:
    """The samples that the chapter has when nothing goes wrong, made by the pipeline alone, once."""
    if (known := _undisturbed.get((title, *texts))) is not None:
        return known
    made: list[bytes] = []

    async def save(path: Path, report: dict[str, Any]) -> None:
        made.append(path.read_bytes())

    text = "\n\n".join(texts)
    script = Script(text, title, title, "SmartVoice", track=1, tracks=1, language="en", voice=None)
    async with TtsServer() as tts:
        engine = engine_of(Settings(tts_engine="openai", tts_url=tts.url))
        try:
            await narrate(script, engine, Remembered(), save, Reports())
        finally:
            await engine.aclose()
    return _undisturbed.setdefault((title, *texts), decoded(made[0]))
