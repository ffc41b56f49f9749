"""HTML as the readers of office formats write it, for `workers.manuscript.markup` to read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

NOTE = 'span role="doc-footnote"'
HIDDEN = "span hidden"
CONTENTS = "nav"
INDEX = 'section role="doc-index"'
FRONT_MATTER = 'div role="doc-cover"'
CODE = 'pre class="code"'
_LEVELS = 6
_TAG = re.compile("<[^>]*>")
_METADATA = {"title", "subtitle", "author", "date"}


class Page:
    """HTML that grows. What belongs to a paragraph and has paragraphs of its own (a text box) stands behind it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._behind: list[str] = []
        self._open = 0
        self._begun = False
        self._title = self._author = ""

    def text(self, text: str) -> None:
        """Adds text, and no markup."""
        self._parts.append(escape(text, quote=False))

    def html_of(self, content: str) -> None:
        """Adds what is HTML already."""
        self._parts.append(content)

    def line_break(self) -> None:
        self._parts.append("<br>")

    def rule(self) -> None:
        self._parts.append("<hr>")

    def picture(self, description: str) -> None:
        """A picture that nobody sees, by the text that stands in for it."""
        self._parts.append(f'<img alt="{escape(description)}">')

    @contextmanager
    def within(self, tag: str) -> Iterator[None]:
        """What is added meanwhile stands in an element; `tag`: its name, and its attributes."""
        self._parts.append(f"<{tag}>")
        yield
        self._parts.append(f"</{tag.partition(' ')[0]}>")

    @contextmanager
    def paragraph(self, level: int = 0, style: str = "") -> Iterator[None]:
        """A paragraph, or a heading of a `level` from 1 on. `style`: its style's name, in small letters.

        Title and author above all text are what the document says of itself, and not its text.
        """
        before, self._parts = self._parts, []
        self._open += 1
        yield
        self._open -= 1
        content, self._parts = "".join(self._parts), before
        tag = f"h{min(level, _LEVELS)}" if level else "p"
        if style in {"source code", "preformatted code"}:
            tag = CODE
        written = f"<{tag}>{content}</{tag.partition(' ')[0]}>\n"
        if not self._begun and style in _METADATA:
            written = f"<{FRONT_MATTER}>{written}</div>"
            # As text: within a title markup is none (HTML, 13.2.5.2), which Python's parser knows since 3.13.6.
            said = _TAG.sub("", content)
            self._title = said if style == "title" and not self._title else self._title
            self._author = said if style == "author" and not self._author else self._author
        elif content.strip():
            self._begun = True
        if self._open:
            self._behind.append(written)
            return
        self._parts += [written, *self._behind]
        self._behind = []

    def html(self) -> str:
        """The document."""
        head = f"<title>{self._title}</title>" if self._title else ""
        # An attribute's value is not ended by what a text has escaped.
        quoted = self._author.replace('"', "&quot;")
        author = f'<meta name="author" content="{quoted}">' if quoted else ""
        return f"<html><head>{head}{author}</head><body>{''.join(self._parts)}</body></html>"
