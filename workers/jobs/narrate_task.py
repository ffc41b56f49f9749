"""A job of `audio-generation`: from a chapter's text to its audio."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from app.core.errors import NotFound
from app.core.jobs.service import Claim
from app.core.json_model import compact
from app.core.projects.estimate import estimate
from app.core.projects.models import Chapter, Project, audio_url, voice_settings_digest
from app.core.projects.service import audio_record
from app.core.settings import Settings
from app.core.storage import paths
from workers.audio.encode import Cover, Encoding
from workers.audio.leveller import Level
from workers.core.report import ProgressCallback
from workers.jobs.tasks import Made
from workers.pipeline.narration import Script, Sound, digest, narrate
from workers.runtime.context import Runtime
from workers.speech.pauses import Pauses
from workers.speech.segment_cache import ProjectSegmentCache

_ARTIST = "SmartVoice"


async def narrate_chapter(runtime: Runtime, claim: Claim, report: ProgressCallback) -> Made:
    """Make the audio of a chapter's text."""
    user, id, chapter_id = claim.user, claim.job.project_id, claim.job.chapter_id or ""
    project = await runtime.projects.get(user, id)
    chapter, text, text_digest = await runtime.projects.text(user, id, chapter_id)
    script = Script(
        text=text,
        title=chapter.title,
        album=project.title,
        artist=project.author or _ARTIST,
        track=chapter.position,
        tracks=project.chapter_count,
        language=project.language,
        voice=chapter.voice or project.voice,
        speed=chapter.speed or project.speed,
        dialogue_voice=project.dialogue_voice,
        pronunciations=project.pronunciations,
        take=chapter.take,
        cover=await _cover(runtime, user, project),
        sound=_sound(runtime.settings),
    )
    # In a thread: a voice process may have to be started for this.
    name = f"{id}-{chapter_id}-{await asyncio.to_thread(digest, script, runtime.engine)}"

    async def save(file: Path, report: dict[str, Any]) -> None:
        # The report first, so that there is no audio without one.
        files = runtime.projects.files
        await files.put(user, id, paths.report_path(user, name), compact(report).encode())
        await files.put(user, id, paths.audio_path(user, name), file, "audio/mpeg")

    # Before anything is voiced: that may cost money.
    await runtime.projects.usage.check(user, _expected_bytes(chapter, project, runtime.settings))
    kept = ProjectSegmentCache(runtime.storage, user, id, runtime.projects.usage)
    seconds = round(await narrate(script, runtime.engine, kept, save, report), 3)
    return Made(
        {"audioUrl": audio_url(name), "durationSeconds": seconds},
        audio_record(user, chapter_id, name, seconds, text_digest, voice_settings_digest(project, chapter)),
    )


def _expected_bytes(chapter: Chapter, project: Project, settings: Settings) -> int:
    """Estimate the bytes of a chapter's audio."""
    expected = estimate(chapter.characters, project.language, settings, chapter.speed or project.speed)
    return int(expected.seconds * settings.audio_kilobits * 1000 / 8)


def _sound(settings: Settings) -> Sound:
    """Return how this installation's audio is encoded."""
    encoding = Encoding(
        sample_rate=settings.audio_sample_rate,
        bit_rate=settings.audio_kilobits * 1000,
        variable=settings.audio_mode == "vbr",
    )
    pauses = Pauses(
        sentence=settings.pause_sentence,
        paragraph=settings.pause_paragraph,
        heading=settings.pause_heading,
        scene=settings.pause_scene,
    )
    return Sound(Level(settings.loudness, settings.true_peak), encoding, pauses)


async def _cover(runtime: Runtime, user: str, project: Project) -> Cover | None:
    """Return the manuscript's cover, if players can show it."""
    if not project.cover_type:
        return None
    try:
        data = await runtime.storage.get(paths.cover_path(user, project.id))
    except NotFound:
        return None
    return await asyncio.to_thread(Cover.of, data, project.cover_type)
