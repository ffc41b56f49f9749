"""Settings that bound what jobs and people may use: retries, lifetimes, sizes, counts and rates."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class Limits(BaseSettings):
    """The bounds among the settings; `Settings` inherits them. Sizes are in bytes, times in seconds."""

    lease_seconds: float = Field(8, gt=0, description="time after which a silent worker's job may be taken over")
    requeue_seconds: float = Field(10, gt=0, description="time after which a job that nobody began is queued again")
    max_losses: int = Field(3, ge=1, description="workers that one job may lose before it fails")
    max_retries: int = Field(3, ge=0, description="times that a job is tried again after a fault that may pass")
    retry_seconds: float = Field(
        2, gt=0, description="pause before the first such retry; each further one is 3 × longer"
    )
    job_hours: float = Field(4, gt=0, description="hours after which an attempt at a job is ended")
    narrations_per_user: int = Field(
        0, ge=0, description="narrations of one user at once, the rest wait in line; 0: as many as all workers do"
    )
    segment_days: float = Field(30, gt=0, description="days for which a segment's sound is kept")
    max_segment_bytes: int = Field(20 * 1024**3, ge=0, description="space for segments' sound; the oldest go first")
    voice_processes: int = Field(2, ge=1, le=64, description="processes of the embedded voice for each worker process")
    voice_seconds: float = Field(120, gt=0, description="longest time of one call of a voice on this machine")
    voice_memory_bytes: int = Field(
        16 * 1024**3, ge=64 * 1024**2, description="most addresses of a voice process of `piper` or a plugin"
    )
    voice_idle_seconds: float = Field(600, gt=0, description="time after which a voice process that nobody asks ends")
    progress_per_second: float = Field(10, gt=0, description="progress events a second for one job")

    max_upload_bytes: int = Field(50 * 1024 * 1024, ge=1024, description="largest manuscript")
    max_json_bytes: int = Field(
        16 * 1024 * 1024, ge=1024, description="largest text that is sent as JSON; what is larger comes as a file"
    )
    max_archive_entries: int = Field(10_000, ge=1, le=65_534, description="most files within an epub, docx or odt")
    max_inflated_bytes: int = Field(
        200 * 1024 * 1024, ge=1024, description="largest epub, docx or odt when it is inflated"
    )
    max_chapters: int = Field(2000, ge=1, description="most chapters of a project")
    max_characters: int = Field(5_000_000, ge=1, description="most characters of a project")
    max_chapter_characters: int = Field(
        100_000, ge=1000, description="most characters of a chapter; the parser cuts longer ones"
    )
    max_pronunciations: int = Field(500, ge=0, le=500, description="most terms in a project's pronunciation dictionary")
    max_pronunciation_bytes: int = Field(
        64 * 1024, ge=0, description="largest pronunciation dictionary of a project, as JSON"
    )
    max_answers_per_user: int = Field(
        1000, ge=1, description="answers of a user that are kept for their `Idempotency-Key`; the oldest go first"
    )
    max_answer_bytes_per_user: int = Field(
        4 * 1024 * 1024, ge=1024, description="most bytes of these answers, compressed"
    )
    max_projects: int = Field(1000, ge=1, description="most projects of a user")
    max_chapters_per_user: int = Field(20_000, ge=1, description="most chapters of a user, in all projects together")
    max_storage_bytes_per_user: int = Field(
        20 * 1024**3, ge=1024, description="space for one user's manuscripts, texts, audio and books"
    )
    max_segment_bytes_per_user: int = Field(
        5 * 1024**3, ge=0, description="space for the sound of one user's segments; beyond it none is kept"
    )
    redis_memory_share: float = Field(
        0.25,
        gt=0,
        le=0.9,
        description="share of the memory of the machine or container that the embedded Redis may take",
    )
    max_changes_per_minute: int = Field(600, ge=1, description="requests of a user that change something, a minute")
    max_uploads_per_minute: int = Field(60, ge=1, description="projects that a user may create, a minute")
    min_password_characters: int = Field(12, ge=8, le=64, description="fewest characters of a new password")
    max_open_jobs: int = Field(5000, ge=1, description="most jobs of a user that are waiting or active")
    max_ended_jobs: int = Field(
        20_000, ge=1, description="jobs of a user that have ended and can be asked for; the oldest go first"
    )
    max_requests_at_once: int = Field(
        6, ge=1, description="requests of a user that one web process answers at once; streams and long polls apart"
    )
    max_requests_waiting: int = Field(
        256, ge=0, description="further requests of a user that wait for that in one web process; 429 beyond"
    )
    max_bodies_at_once: int = Field(
        8, ge=1, description="manuscripts and texts of a user that one web process receives at once"
    )

    head_seconds: float = Field(20, gt=0, description="time in which the head of a request must have come")
    body_seconds: float = Field(20, gt=0, description="time over which the rate of a body is looked at")
    min_body_rate: int = Field(
        500, ge=0, description="bytes a second at which a body must come, over any `SMARTVOICE_BODY_SECONDS`"
    )
    idle_seconds: float = Field(60, ge=1, description="time after which a connection without a request is closed")
    max_connections: int = Field(
        20_000, ge=10, description="connections of one web process, besides the streams that it holds"
    )
    max_connections_per_address: int = Field(
        200, ge=0, description="of these, from one address that is no trusted proxy's; 0: any number"
    )
    max_streams_per_address: int = Field(
        1000, ge=0, description="streams from one such address in one web process; 0: any number"
    )
