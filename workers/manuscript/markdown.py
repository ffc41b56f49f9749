"""Markdown to blocks of plain text, by way of HTML: what an element means is said once, in `markup`."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from mdit_py_plugins.footnote import footnote_plugin

from app.core.projects.text_lengths import MAX_TITLE
from workers.manuscript import marked_chapters, markup
from workers.manuscript.blocks import Document
from workers.manuscript.model import Manuscript, visible
from workers.manuscript.plain_chapters import MAX_CHAPTER

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^(title|author|language|lang)[ \t]*:[ \t]*[\"']?(.*?)[\"']?[ \t]*$", re.MULTILINE)


def split(markdown: str, title: str, *, longest: int = MAX_CHAPTER) -> Manuscript:
    """The manuscript in `markdown`; its title is the document's own where it tells one, else `title`."""
    return marked_chapters.manuscript(read(markdown), title, longest=longest)


def read(markdown: str) -> Document:
    """The document in `markdown`, and what its front matter (YAML between lines of `---`) says of it."""
    front = _FRONT_MATTER.match(markdown)
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"]).use(footnote_plugin, inline=False)
    document = markup.read(parser.render(markdown[front.end() :] if front else markdown))
    if front:
        said = {name: value[:MAX_TITLE] for name, value in _FIELD.findall(front[1])}
        document.title, document.author = said.get("title", ""), said.get("author", "")
        document.language = said.get("language", said.get("lang", ""))
        document.tally.characters_in += visible(front[0])
        document.tally.left_out["frontMatter"] += visible(front[0])
    return document
