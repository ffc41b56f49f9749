"""Where each object lies in the storage: every user has a folder, every project a folder in it."""

from __future__ import annotations

SEGMENTS = "segments"
"""Where the sound of all segments lies."""


def user_of(folder: str) -> str | None:
    """The user whose folder this is, of those that `Storage.folders` tells; None where it is nobody's."""
    return folder.removeprefix("u-") if folder.startswith("u-") else None


def projects_prefix(user: str) -> str:
    """Where a user's projects lie, each in a folder that is called by its id."""
    return f"u-{user}/projects"


def project_prefix(user: str, project: str) -> str:
    """Where all of a project lies."""
    return f"{projects_prefix(user)}/{project}"


def user_prefixes(user: str) -> tuple[str, str]:
    """Where all of a user lies."""
    return f"u-{user}", f"{SEGMENTS}/u-{user}"


def manuscript_path(user: str, project: str) -> str:
    """The manuscript as it was uploaded."""
    return f"{project_prefix(user, project)}/manuscript"


def cover_path(user: str, project: str) -> str:
    """The picture on the cover of the book, if its manuscript has one."""
    return f"{project_prefix(user, project)}/cover"


def text_path(user: str, project: str, chapter: str, digest: str) -> str:
    """The text of a chapter, by what it says: an edit writes a new object and never changes one that is being read."""
    return f"{project_prefix(user, project)}/text/{chapter}-{digest}.txt"


def segments_prefix(user: str, project: str) -> str:
    """Where the sound of a project's segments lies: apart from the rest, so that it can be swept without listing it."""
    return f"{SEGMENTS}/u-{user}/{project}"


def part_path(user: str, project: str, name: str) -> str:
    """A chapter's sound as it goes into a book: kept, swept and deleted as segments are, among which it lies."""
    return f"{segments_prefix(user, project)}/{name}.m4a"


def books_prefix(user: str, project: str) -> str:
    """Where the books made of a project lie."""
    return f"{project_prefix(user, project)}/book"


def book_path(user: str, name: str, format: str) -> str:
    """The book called `name`, which begins with its project's id."""
    project, _, rest = name.partition("-")
    return f"{books_prefix(user, project)}/{rest}.{format}"


def audio_path(user: str, name: str) -> str:
    """The audio called `name`, which begins with its project's id."""
    project, _, rest = name.partition("-")
    return f"{project_prefix(user, project)}/audio/{rest}.mp3"


def report_path(user: str, name: str) -> str:
    """The completeness report of the audio called `name`."""
    project, _, rest = name.partition("-")
    return f"{project_prefix(user, project)}/report/{rest}.json"


def segment_path(user: str, project: str, name: str) -> str:
    """The sound of a segment of a project."""
    return f"{segments_prefix(user, project)}/{name}.flac"
