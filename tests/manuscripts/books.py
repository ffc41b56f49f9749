"""The manuscripts of the corpus, each built from texts of our own: see README.md beside this module."""

from __future__ import annotations

import base64
import io
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pypandoc

_TEXTS = Path(__file__).parent / "texts"
_CONTAINER = (
    '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles>'
    "</container>"
)
Build = Callable[[], bytes]


def encoded(name: str, encoding: str = "utf-8") -> Build:
    """A text as bytes of `encoding`."""
    return lambda: (_TEXTS / name).read_text("utf-8").encode(encoding)


def written(name: str, format: str) -> Build:
    """A Markdown text as a document of an office program, written by pandoc."""

    def build() -> bytes:
        command = [pypandoc.get_pandoc_path(), "-s", "-f", "markdown", "-t", format, "-o", "-"]
        return subprocess.run(command, input=(_TEXTS / name).read_bytes(), check=True, capture_output=True).stdout

    return build


def hundreds() -> bytes:
    """A serial of three hundred chapters."""
    lines = (f"第{number}章 第{number}天\n第{number}天，海还是昨天的海，船还是昨天的船。\n" for number in range(1, 301))
    return "\n".join(lines).encode("gb18030")


def picture() -> bytes:
    """A grey PNG of one pixel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\x80")) + chunk(b"IEND", b"")
    )


def epub(metadata: str, files: Mapping[str, str | bytes], spine: Iterable[str], more: str = "") -> bytes:
    """A book of `files` (XHTML bodies where they end so) below OEBPS; `spine` names those to read, in order.

    `more` is put behind the spine. Properties follow from the names: `nav.xhtml` is the nav, `cover.png` the cover.
    """
    types = {"xhtml": "application/xhtml+xml", "png": "image/png", "ncx": "application/x-dtbncx+xml"}
    properties = {"nav.xhtml": ' properties="nav"', "cover.png": ' properties="cover-image"'}
    items = "".join(
        f'<item id="i-{number}" href="{name}" media-type="{types[name.rpartition(".")[2]]}"{properties.get(name, "")}/>'
        for number, name in enumerate(files)
    )
    ids = {name: f"i-{number}" for number, name in enumerate(files)}
    toc = next((f' toc="{ids[name]}"' for name in files if name.endswith(".ncx")), "")
    read = "".join(f'<itemref idref="{ids[name]}"/>' for name in spine)
    package = (
        '<?xml version="1.0" encoding="utf-8"?><package version="3.0" xmlns="http://www.idpf.org/2007/opf" '
        'unique-identifier="b"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="b">1'
        f"</dc:identifier>{metadata}</metadata><manifest>{items}</manifest><spine{toc}>{read}</spine>{more}</package>"
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr("META-INF/container.xml", _CONTAINER)
        archive.writestr("OEBPS/book.opf", package)
        for name, content in files.items():
            archive.writestr(f"OEBPS/{name}", content)
    return target.getvalue()


def page(body: str, title: str = "") -> str:
    """An XHTML document."""
    return (
        '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml" '
        f'xmlns:epub="http://www.idpf.org/2007/ops"><head><title>{title}</title></head><body>{body}</body></html>'
    )


def nav(items: str) -> str:
    """A nav document with the list `items`, and a list of pages that is none of chapters."""
    return page(
        f'<nav epub:type="toc"><h1>Contents</h1><ol>{items}</ol></nav>'
        '<nav epub:type="page-list"><ol><li><a href="one.xhtml#p1">1</a></li></ol></nav>'
    )


def ncx(points: str) -> str:
    """An NCX with the `points`."""
    return (
        '<?xml version="1.0"?><!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "ncx-2005-1.dtd">'
        f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/" version="2005-1"><navMap>{points}</navMap></ncx>'
    )


def point(title: str, source: str, inner: str = "") -> str:
    """An entry of an NCX."""
    return f'<navPoint><navLabel><text>{title}</text></navLabel><content src="{source}"/>{inner}</navPoint>'


def nested_parts() -> bytes:
    """EPUB 3, nav alone: parts with chapters, a cover, notes, page numbers, a title page and a copyright page."""
    files: dict[str, str | bytes] = {
        "nav.xhtml": nav(
            '<li><a href="title.xhtml">Title Page</a></li><li><a href="rights.xhtml">Copyright</a></li>'
            '<li><span>Part One: Salt</span><ol><li><a href="one.xhtml">Chapter 1: The Harbour</a></li>'
            '<li><a href="two.xhtml">Chapter 2: The Net</a></li></ol></li>'
            '<li><a href="part.xhtml">Part Two: Sugar</a><ol><li><a href="three.xhtml">Chapter 3: The Fair</a></li>'
            "</ol></li>"
        ),
        "title.xhtml": page('<section epub:type="titlepage"><h1>Salt and Sugar</h1><p>Mira Dell</p></section>'),
        "rights.xhtml": page("<p>All rights are the writer's.</p>"),
        "one.xhtml": page(
            '<h1>Chapter 1</h1><h2>The Harbour</h2><p>The ships came in<a epub:type="noteref" href="#n1">1</a> at '
            'night.<span epub:type="pagebreak" id="p1">7</span></p><p>By morning they were gone.</p>'
            '<aside epub:type="footnote" id="n1"><p>Four of them.</p></aside>'
        ),
        "two.xhtml": page("<h1>Chapter 2: The Net</h1><p>The net was full of lamps.</p><p>We threw them back.</p>"),
        "part.xhtml": page("<h1>Part Two: Sugar</h1>"),
        "three.xhtml": page(
            "<h1>Chapter 3: The Fair</h1><h2>Morning</h2><p>They sold snow by the ounce.</p><hr/>"
            "<h2>Evening</h2><p>We bought none.</p>"
        ),
        "cover.png": picture(),
    }
    spine = [name for name in files if name != "cover.png"]
    said = "<dc:title>Salt and Sugar</dc:title><dc:creator>Mira Dell</dc:creator><dc:language>en-GB</dc:language>"
    return epub(said, files, spine)


def old_book() -> bytes:
    """EPUB 2, NCX alone: a page of contents and a cover page that the guide names, a cover that a `meta` names."""
    contents = "<p>目录</p><p><a href='a.xhtml'>第一章 井</a></p><p><a href='b.xhtml'>第二章 绳</a></p>"
    files: dict[str, str | bytes] = {
        "toc.ncx": ncx(point("序", "pre.xhtml") + point("第一章 井", "a.xhtml") + point("第二章 绳", "b.xhtml")),
        "front.xhtml": page("<p><img src='c.png' alt='封面图'/></p><p>井与绳</p>"),
        "list.xhtml": page(contents),
        "pre.xhtml": page("<p>这本书写给喝过井水的人。</p>"),
        "a.xhtml": page("<h2>第一章 井</h2><p>村里只有一口井。</p>"),
        "b.xhtml": page("<h2>第二章 绳</h2><p>绳子比井深，</p><p>人比绳子老。</p>"),
        "c.png": picture(),
    }
    guide = '<guide><reference type="cover" href="front.xhtml"/><reference type="toc" href="list.xhtml"/></guide>'
    said = (
        "<dc:title>井与绳</dc:title><dc:creator>何水</dc:creator><dc:language>zh</dc:language>"
        '<meta name="cover" content="i-6"/>'
    )
    return epub(said, files, ["front.xhtml", "list.xhtml", "pre.xhtml", "a.xhtml", "b.xhtml"], guide)


def places_in_files() -> bytes:
    """Entries that point into the middle of files, and a chapter that goes on in the next file."""
    files = {
        "nav.xhtml": nav(
            '<li><a href="one.xhtml#a">The Kite</a></li><li><a href="one.xhtml#b">The String</a></li>'
            '<li><a href="two.xhtml#c">The Wind</a></li>'
        ),
        "one.xhtml": page(
            '<p>For those who let go.</p><h2 id="a">The Kite</h2><p>It was red.</p>'
            '<div><p><a id="b"></a>It hung on a string.</p></div>'
        ),
        "two.xhtml": page('<p>The string hung on us.</p><h2 id="c">The Wind</h2><p>It let go first.</p>'),
    }
    said = "<dc:title>Kites</dc:title><dc:creator>Jo Ban</dc:creator><dc:creator>Li Ash</dc:creator>"
    return epub(f"{said}<dc:language>en</dc:language>", files, ["one.xhtml", "two.xhtml"])


def sections_within() -> bytes:
    """Chapters whose sections have entries of their own, of which none is a chapter."""
    files = {
        "nav.xhtml": nav(
            '<li><a href="one.xhtml">Chapter 1. Bread</a><ol><li><a href="one.xhtml#s1">Flour</a></li>'
            '<li><a href="one.xhtml#s2">Water</a></li></ol></li><li><a href="two.xhtml">Chapter 2. Salt</a><ol>'
            '<li><a href="three.xhtml">A Pinch</a></li></ol></li>'
        ),
        "one.xhtml": page(
            '<h1>Chapter 1. Bread</h1><h2 id="s1">Flour</h2><p>Take some.</p><h2 id="s2">Water</h2><p>Take less.</p>'
        ),
        "two.xhtml": page("<h1>Chapter 2. Salt</h1><p>Take it with the rest.</p>"),
        "three.xhtml": page("<h2>A Pinch</h2><p>No more than that.</p>"),
    }
    said = "<dc:title>Bread and Salt</dc:title><dc:language>en</dc:language>"
    return epub(said, files, ["one.xhtml", "two.xhtml", "three.xhtml"])


def headings_alone() -> bytes:
    """Neither nav nor NCX: its headings tell. A poem, and readings above characters."""
    files = {
        "a.xhtml": page("<h1>第一首</h1><p>风吹过<ruby>麦<rt>mài</rt></ruby>田，<br/>没有留下姓名。</p>"),
        "b.xhtml": page("<h1>第二首</h1><p>雨落在瓦上，<br/>数到一百就停了。</p>"),
    }
    said = "<dc:title>两首诗</dc:title><dc:creator>白石</dc:creator><dc:language>zh-Hans</dc:language>"
    return epub(said, files, ["a.xhtml", "b.xhtml"])


def files_alone() -> bytes:
    """Neither nav nor NCX nor headings: each file is a chapter."""
    files = {
        "a.xhtml": page("<p>The first page was torn out.</p>", "Torn"),
        "b.xhtml": page("<p>The second page begins in the middle of a sentence.</p>", "Pages"),
        "c.xhtml": page("<p>There is no third.</p>", "Pages"),
    }
    return epub("<dc:title>Pages</dc:title><dc:language>en</dc:language>", files, ["a.xhtml", "b.xhtml", "c.xhtml"])


def fictionbook() -> bytes:
    """FB2 with a cover, an author, notes, a poem and sections within a part."""
    cover = base64.b64encode(picture()).decode()
    return (
        '<?xml version="1.0" encoding="utf-8"?><FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0" '
        'xmlns:l="http://www.w3.org/1999/xlink"><description><title-info><author><first-name>Ona</first-name>'
        "<last-name>Reed</last-name></author><book-title>The Well</book-title><coverpage><image "
        'l:href="#cover.png"/></coverpage><lang>en</lang></title-info></description><body><section><title><p>First'
        '</p></title><p>The well was dry<a l:href="#n1" type="note">1</a> that summer.</p><poem><stanza>'
        "<v>Deep is the well,</v><v>dry is the bell.</v></stanza></poem></section><section><title><p>Second</p>"
        '</title><p>In autumn it rang.</p></section></body><body name="notes"><section id="n1"><title><p>1</p></title>'
        f'<p>Since May.</p></section></body><binary id="cover.png" content-type="image/png">{cover}</binary>'
        "</FictionBook>"
    ).encode()


def fictionbook_zh() -> bytes:
    """FB2 in GB 2312, with a subtitle within a chapter."""
    return (
        '<?xml version="1.0" encoding="gb2312"?><FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0">'
        "<description><title-info><author><nickname>老麦</nickname></author><book-title>麦子</book-title>"
        "<lang>zh</lang></title-info></description><body><section><title><p>第一章 种</p></title>"
        "<p>他把麦子种在路边。</p></section><section><title><p>第二章 收</p></title><p>收麦子的人不是他。</p>"
        "<subtitle>很久以后</subtitle><p>路没有了，麦子还在。</p></section></body></FictionBook>"
    ).encode("gb2312")


def rich_text() -> bytes:
    """RTF with Chinese characters as numbers, and lines that look like headings."""
    lines = ["第一章 桥", "桥有九个孔，水只从一个孔里过。", "第二章 水", "水说：“够了。”"]
    body = "".join(f"{_rich(line)}\\par " for line in lines)
    return f"{{\\rtf1\\ansi\\uc1 {{\\info{{\\title Bridge}}{{\\author {_rich('桥')}}}}}{body}}}".encode()


def _rich(text: str) -> str:
    return "".join(f"\\u{ord(char)}?" if ord(char) > 127 else char for char in text)


BOOKS: dict[str, tuple[str, Build]] = {
    "zh chapters, preface, extra, afterword": ("雨停之后.txt", encoded("zh-chapters.txt")),
    "zh volumes whose chapters begin at one again": ("山水.txt", encoded("zh-volumes.txt", "utf-8-sig")),
    "zh numbered by 回": ("茶馆.txt", encoded("zh-hui.txt", "utf-16")),
    "zh full-width digits": ("火车.txt", encoded("zh-fullwidth.txt", "gb18030")),
    "zh traditional": ("冬信.txt", encoded("zh-traditional.txt", "big5")),
    "zh numbers alone": ("旧事.txt", encoded("zh-numbered.txt", "gb18030")),
    "zh without headings": ("雪.txt", encoded("zh-plain.txt", "utf-16-le")),
    "zh list of contents": ("山路.txt", encoded("zh-contents.txt")),
    "zh heading in the middle of a text": ("一行.txt", encoded("zh-misnumbered.txt")),
    "zh three hundred chapters": ("海.txt", hundreds),
    "en parts, prologue, epilogue": ("lamp.txt", encoded("en-parts.txt")),
    "en Roman numerals": ("door.txt", encoded("en-roman.txt", "cp1252")),
    "en numbers": ("clock.txt", encoded("en-numbered.txt", "utf-16-be")),
    "en list that is none of chapters": ("walk.txt", encoded("en-list.txt")),
    "en without headings": ("story.txt", encoded("en-plain.txt")),
    "md notes, table, code, picture, list, poem": ("weather.md", encoded("treatments.md")),
    "md lines that look like headings": ("茶酒.md", encoded("lines.md")),
    "md nested parts": ("shore.md", encoded("parts.md")),
    "epub nav alone, nested parts": ("salt.epub", nested_parts),
    "epub NCX alone": ("井.epub", old_book),
    "epub nav into files": ("kites.epub", places_in_files),
    "epub sections within chapters": ("bread.epub", sections_within),
    "epub headings alone": ("诗.epub", headings_alone),
    "epub files alone": ("pages.epub", files_alone),
    "docx notes, table, poem": ("ledger.docx", written("office.md", "docx")),
    "docx without styles": ("集市.docx", written("unstyled-zh.md", "docx")),
    "odt notes, table, poem": ("ledger.odt", written("office.md", "odt")),
    "odt zh": ("灯塔.odt", written("office-zh.md", "odt")),
    "html page": ("walks.html", encoded("page.html")),
    "html zh in GB 2312": ("信.htm", encoded("page-zh.html", "gb18030")),
    "fb2 notes, poem, cover": ("well.fb2", fictionbook),
    "fb2 zh in GB 2312": ("麦子.fb2", fictionbook_zh),
    "rtf notes, table, poem": ("ledger.rtf", written("office.md", "rtf")),
    "rtf zh": ("桥.rtf", rich_text),
}
"""By what is in it: the name of the file, and how it is built."""
