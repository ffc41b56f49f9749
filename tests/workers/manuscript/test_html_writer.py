"""HTML of office formats, in what differs between versions of Python's parser."""

from __future__ import annotations

from workers.manuscript.html_writer import Page


def test_title_and_author_are_text_without_the_markup_of_their_paragraphs() -> None:
    page = Page()
    for style, text in (("title", "Salt & Sea"), ("author", 'Ann "N." Onymous')):
        with page.paragraph(style=style), page.within("span"):
            page.text(text)
    html = page.html()
    assert "<title>Salt &amp; Sea</title>" in html
    assert '<meta name="author" content="Ann &quot;N.&quot; Onymous">' in html
