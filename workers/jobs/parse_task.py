"""A job of `text-parsing`: from the manuscript as it was uploaded to the project's chapters."""

from __future__ import annotations

from app.core.jobs.service import Claim
from app.core.json_model import compact
from app.core.manuscripts.archive import Bounds
from app.core.manuscripts.text import language_of
from app.core.projects.service import ParsedChapter
from app.core.storage import paths
from app.core.vocabulary import Language
from workers.core.report import ProgressCallback
from workers.core.scratch import scratch_dir
from workers.jobs.tasks import Made
from workers.manuscript import cover
from workers.pipeline.parsing import Parsed, parse
from workers.runtime.context import Runtime

_LOOK = 2000  # characters of a chapter that show a book's language
_LOOK_CHAPTERS = 20


async def parse_manuscript(runtime: Runtime, claim: Claim, report: ProgressCallback) -> Made:
    """Make a project's chapters of the manuscript that was uploaded."""
    user, id = claim.user, claim.job.project_id
    project = await runtime.projects.get(user, id)
    settings = runtime.settings
    with scratch_dir() as folder:
        source = folder / "manuscript"
        await runtime.storage.fetch(paths.manuscript_path(user, id), source)
        parsed = await parse(
            source,
            project.format,
            project.title,
            project.language,
            report,
            max_chapters=settings.max_chapters,
            max_characters=settings.max_characters,
            max_chapter_characters=settings.max_chapter_characters,
            bounds=Bounds(settings.max_archive_entries, settings.max_inflated_bytes),
        )
    if parsed.cover:
        await runtime.projects.files.put(user, id, paths.cover_path(user, id), parsed.cover)
    chapters = [ParsedChapter(chapter.title, chapter.text, chapter.confidence) for chapter in parsed.chapters]
    left_out = [{"reason": reason, "characters": count} for reason, count in parsed.left_out.items()]
    records = await runtime.projects.add_chapters(
        claim,
        chapters,
        {
            "title": parsed.title,
            "author": parsed.author,
            "language": _language_of(parsed, project.language),
            "coverType": cover.type_of(parsed.cover),
            "charactersIn": str(parsed.characters_in),
            "charactersSpoken": str(parsed.characters_spoken),
            "leftOut": compact(left_out),
        },
    )
    result = {
        "chapters": len(chapters),
        "characters": parsed.characters,
        "charactersIn": parsed.characters_in,
        "charactersSpoken": parsed.characters_spoken,
        "leftOut": left_out,
    }
    return Made(result, records)


def _language_of(parsed: Parsed, default: Language) -> Language:
    """Return the language that the manuscript names, if it is supported, else the one that its text shows."""
    named = parsed.language.lower().partition("-")[0].partition("_")[0]
    if named in {"zh", "en"}:
        return "zh-CN" if named == "zh" else "en"
    return language_of("\n".join(chapter.text[:_LOOK] for chapter in parsed.chapters[:_LOOK_CHAPTERS]), default)
