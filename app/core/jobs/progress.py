"""What people read about a job, in both languages, with the stages and their percentages."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from app.core.vocabulary import ASSEMBLY, LANGUAGES, NARRATION, PARSING, Language, Queue


class Progress(BaseModel):
    """How far a job is: `percentage` 0 to 100, `stage` stable, the texts in the job's language."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    percentage: int
    message: str
    current_step: str
    step: int
    total_steps: int
    stage: str
    units_done: int
    units_total: int
    eta_seconds: int | None


@dataclass(frozen=True)
class Stage:
    """A stage runs from `start` to `end` percent and is step `step` of its job's steps."""

    start: int
    end: int
    step: int
    current_step: dict[Language, str]
    message: dict[Language, str]


def _stage(start: int, end: int, step: int, steps: tuple[str, str], messages: tuple[str, str]) -> Stage:
    return Stage(
        start, end, step, dict(zip(LANGUAGES, steps, strict=True)), dict(zip(LANGUAGES, messages, strict=True))
    )


_RETRYING = ("重试", "Retrying")
_AGAIN = ("出了问题，稍后自动重试", "Something went wrong; trying again shortly")

STAGES: dict[Queue, dict[str, Stage]] = {
    NARRATION: {
        "queued": _stage(0, 0, 0, ("排队", "Queued"), ("等待生成", "Waiting to start")),
        "start": _stage(10, 10, 1, ("初始化", "Preparing"), ("开始生成音频", "Starting audio generation")),
        "synthesis": _stage(30, 90, 2, ("音频合成", "Synthesis"), ("正在调用 TTS 服务", "Calling the TTS service")),
        "upload": _stage(90, 90, 3, ("完成", "Finishing"), ("音频已上传到存储", "Audio uploaded to storage")),
        "done": _stage(100, 100, 3, ("完成", "Finishing"), ("音频生成完成", "Audio generation complete")),
        "retrying": _stage(0, 0, 2, _RETRYING, _AGAIN),
    },
    PARSING: {
        "queued": _stage(0, 0, 0, ("排队", "Queued"), ("等待解析", "Waiting to start")),
        "read": _stage(10, 10, 1, ("读取", "Reading"), ("正在读取书稿", "Reading the manuscript")),
        "convert": _stage(30, 30, 2, ("转换", "Conversion"), ("正在转换为纯文本", "Converting to plain text")),
        "split": _stage(90, 90, 3, ("分章", "Chapters"), ("正在划分章节", "Splitting into chapters")),
        "done": _stage(100, 100, 3, ("完成", "Finishing"), ("书稿解析完成", "Manuscript parsed")),
        "retrying": _stage(0, 0, 2, _RETRYING, _AGAIN),
    },
    ASSEMBLY: {
        "queued": _stage(0, 0, 0, ("排队", "Queued"), ("等待制作", "Waiting to start")),
        "start": _stage(10, 10, 1, ("初始化", "Preparing"), ("开始制作有声书", "Starting to put the book together")),
        "chapters": _stage(30, 75, 2, ("编码", "Encoding"), ("正在编码各章音频", "Encoding the chapters")),
        "join": _stage(75, 90, 2, ("合并", "Joining"), ("正在合并章节", "Joining the chapters")),
        "upload": _stage(90, 99, 3, ("完成", "Finishing"), ("正在保存有声书", "Saving the book")),
        "done": _stage(100, 100, 3, ("完成", "Finishing"), ("有声书制作完成", "The book is ready")),
        "retrying": _stage(0, 0, 2, _RETRYING, _AGAIN),
    },
}
TOTAL_STEPS = 3


def progress(
    queue: Queue, stage: str, language: Language, *, done: int = 0, total: int = 0, eta_seconds: float | None = None
) -> Progress:
    """Return how far a job of `queue` is at `stage`, with `done` of `total` units of that stage."""
    row = STAGES[queue][stage]
    share = done / total if total else 0.0
    return Progress(
        percentage=row.start + math.floor((row.end - row.start) * share),
        message=row.message[language],
        current_step=row.current_step[language],
        step=row.step,
        total_steps=TOTAL_STEPS,
        stage=stage,
        units_done=done,
        units_total=total,
        eta_seconds=None if eta_seconds is None else math.ceil(eta_seconds),
    )


def resting(last: Progress, queue: Queue, stage: str, language: Language, seconds: float) -> Progress:
    """Return `last` at a `stage` in which a job waits for its next attempt: as far as it was, `seconds` until then."""
    row = STAGES[queue][stage]
    return last.model_copy(
        update={
            "message": row.message[language],
            "current_step": row.current_step[language],
            "stage": stage,
            "eta_seconds": math.ceil(seconds) or None,
        }
    )
