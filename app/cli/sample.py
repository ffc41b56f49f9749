"""The sample project: a short text of our own in both languages, so that there is something to press a button on."""

from __future__ import annotations

import os
from importlib.resources import files

from redis.asyncio import Redis

from app.auth.user_ids import user_id
from app.core.eventlog.log import EventLog
from app.core.jobs.broker import WorkQueue
from app.core.jobs.service import Jobs
from app.core.projects.service import Projects, UploadedManuscript
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from app.core.vocabulary import Language

_TITLES: dict[Language, str] = {"zh-CN": "守灯人 · The Lamp Keeper", "en": "The Lamp Keeper · 守灯人"}


async def add_sample(redis: Redis, settings: Settings, user: str) -> None:
    """Gives `user` the sample project unless there is a project already."""
    queue = WorkQueue(settings.queue)
    jobs = Jobs(redis, EventLog(redis, settings), settings, queue)
    projects = Projects(redis, Storage.of(settings), jobs, settings)
    owner = user_id(user)
    language: Language = "zh-CN" if os.environ.get("LANG", "").startswith("zh") else "en"
    text = files("app.cli").joinpath("sample.txt").read_bytes()
    try:
        if not await projects.all(owner):
            await projects.create(owner, UploadedManuscript(text, "txt", _TITLES[language], language))
    finally:
        await queue.aclose()
