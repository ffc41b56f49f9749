"""What stands in documents of office programs is read, or left out with a reason: what converters lose."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from workers.manuscript import docx, fictionbook, odt, rtf
from workers.manuscript.blocks import Document
from workers.manuscript.markup import read

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_MC = "http://schemas.openxmlformats.org/markup-compatibility/2006"
_ODF = "urn:oasis:names:tc:opendocument:xmlns"


def archive(**parts: str) -> zipfile.ZipFile:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for name, content in parts.items():
            made.writestr(name.replace("__", "/") + ".xml", content)
    return zipfile.ZipFile(target)


def word(body: str, **parts: str) -> Document:
    document = f'<w:document xmlns:w="{_W}" xmlns:mc="{_MC}"><w:body>{body}</w:body></w:document>'
    return read(docx.read(archive(word__document=document, **parts)))


def run(text: str, properties: str = "") -> str:
    return f"<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>"


def opendocument(body: str, styles: str = "") -> Document:
    spaces = " ".join(
        f'xmlns:{name}="{_ODF}:{name if name != "draw" else "drawing"}:1.0"'
        for name in ("office", "text", "style", "draw", "table")
    )
    content = (
        f"<office:document-content {spaces}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:text>{body}</office:text></office:body></office:document-content>"
    )
    return read(odt.read(archive(content=content)))


def texts(document: Document) -> list[str]:
    return [block.text for block in document.blocks]


@pytest.mark.parametrize(
    ("body", "expected", "left_out"),
    [
        (f"<w:p>{run('Seen. ')}{run('Hidden.', '<w:vanish/>')}</w:p>", ["Seen."], {"hidden": 7}),
        (f"<w:p>{run('Seen.', '<w:vanish w:val=' + chr(34) + '0' + chr(34) + '/>')}</w:p>", ["Seen."], {}),
        (f"<w:p><w:ins>{run('New.')}</w:ins><w:del><w:r><w:delText>Old.</w:delText></w:r></w:del></w:p>", ["New."], {}),
        (
            f"<w:p><w:r><w:ruby><w:rt>{run('qiú')}</w:rt><w:rubyBase>{run('仇')}</w:rubyBase></w:ruby></w:r></w:p>",
            ["仇"],
            {"ruby": 3},
        ),
        (
            f"<w:p>{run('Before')}<w:r><mc:AlternateContent><mc:Choice><w:txbxContent><w:p>{run('Boxed')}</w:p>"
            f"</w:txbxContent></mc:Choice><mc:Fallback><w:p>{run('Boxed')}</w:p></mc:Fallback></mc:AlternateContent>"
            f"</w:r>{run(' after')}</w:p>",
            ["Before after", "Boxed"],
            {},
        ),
        (
            "<w:sdt><w:sdtPr><w:docPartObj><w:docPartGallery w:val='Table of Contents'/></w:docPartObj></w:sdtPr>"
            f"<w:sdtContent><w:p>{run('One 1')}</w:p></w:sdtContent></w:sdt><w:p>{run('Text')}</w:p>",
            ["Text"],
            {"contents": 4},
        ),
        (
            f"<w:p><w:r><w:fldChar w:fldCharType='begin'/><w:instrText>PAGE</w:instrText></w:r>{run('Text')}</w:p>",
            ["Text"],
            {},
        ),
        (f"<w:p>{run('a')}<w:r><w:tab/><w:br/><w:noBreakHyphen/></w:r>{run('b')}</w:p>", ["a\n\u2011b"], {}),
        (f"<w:p><w:r><w:sym w:char='F04A'/><w:sym w:char='00E9'/></w:r>{run('t')}</w:p>", ["ét"], {}),
    ],
)
def test_word_document_is_read(body: str, expected: list[str], left_out: dict[str, int]) -> None:
    found = word(body)
    assert (texts(found), dict(found.tally.left_out)) == (expected, left_out)


def test_heading_of_word_is_known_by_its_style_in_any_language() -> None:
    styles = (
        f'<w:styles xmlns:w="{_W}"><w:style w:styleId="1"><w:name w:val="heading 1"/></w:style>'
        '<w:style w:styleId="mine"><w:name w:val="标题样式"/><w:basedOn w:val="1"/></w:style>'
        '<w:style w:styleId="2"><w:name w:val="x"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>'
        '<w:style w:styleId="loop"><w:name w:val="y"/><w:basedOn w:val="loop"/></w:style></w:styles>'
    )
    body = "".join(
        f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr>{run(style)}</w:p>' for style in ("1", "mine", "2", "loop")
    )
    assert [block.level for block in word(body, word__styles=styles).blocks] == [1, 1, 2, 0]


@pytest.mark.parametrize(
    ("body", "styles", "expected", "left_out"),
    [
        (
            '<text:p>Seen <text:span text:style-name="H">hidden</text:span>on.</text:p>',
            '<style:style style:name="H"><style:text-properties text:display="none"/></style:style>',
            ["Seen on."],
            {"hidden": 6},
        ),
        (
            "<text:p>a<draw:frame><draw:text-box><text:p>Boxed</text:p></draw:text-box></draw:frame>b</text:p>",
            "",
            ["ab", "Boxed"],
            {},
        ),
        (
            "<text:p>x<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Note</text:p>"
            "</text:note-body></text:note>y</text:p>",
            "",
            ["xy"],
            {"notes": 5},
        ),
        ("<text:tracked-changes><text:p>Old</text:p></text:tracked-changes><text:p>New</text:p>", "", ["New"], {}),
        (
            '<text:section text:display="none"><text:p>No</text:p></text:section><text:p>Yes</text:p>',
            "",
            ["Yes"],
            {"hidden": 2},
        ),
        ('<text:p>a<text:s text:c="3"/>b<text:tab/>c<text:line-break/>d</text:p>', "", ["a b c\nd"], {}),
        (
            '<text:p text:style-name="P1">Title line</text:p>',
            '<style:style style:name="P1" style:default-outline-level="2"/>',
            ["Title line"],
            {},
        ),
    ],
)
def test_opendocument_is_read(body: str, styles: str, expected: list[str], left_out: dict[str, int]) -> None:
    found = opendocument(body, styles)
    assert (texts(found), dict(found.tally.left_out)) == (expected, left_out)


@pytest.mark.parametrize(
    ("content", "expected", "left_out"),
    [
        (rb"{\rtf1\ansi\ansicpg936 \'b5\'da\'d2\'bb\par}", ["第一"], {}),
        (rb"{\rtf1\ansi{\fonttbl{\f1\fcharset134 S;}}caf\'e9 \f1 \'b6\'c9\par}", ["café 渡"], {}),
        (rb"{\rtf1\ansi\ansicpg1250 K\'f9\'f2\par}", ["Kůň"], {}),
        (rb"{\rtf1\ansi\ansicpg932 \'83\\\'83\'5c\par}", ["ソソ"], {}),
        (rb"{\rtf1\uc2 \u31532\'b5\'da x\u-10179\'3f\'3f\u-8704\'3f\'3f y\par}", ["第 x😀 y"], {}),
        (rb"{\rtf1 It\u8217's \u8217?s {\uc0\u233}t\par}", ["It’s ’s ét"], {}),
        (rb"{\rtf1 a{\footnote b{\i c}}d{\*\footnote e}\par}", ["ad"], {"notes": 3}),
        (rb"{\rtf1 a{\v b}c{\deleted d}\par}", ["ac"], {"hidden": 1}),
        (rb"{\rtf1 {\field{\*\fldinst HYPERLINK x}{\fldrslt link}}{\*\unknown x}{\pict 00ff}\par}", ["link"], {}),
        (rb"{\rtf1\trowd\intbl a\cell b\cell\row\pard c\par}", ["a, b", "c"], {}),
        (rb"{\rtf1 a\bin3 }}}b\par}", ["ab"], {}),
        (rb"{\rtf1 {\upr{bad}{\*\ud good}}\par}", ["good"], {}),
        (rb"{\rtf1{\*\shpinst{\sp{\sn x}{\sv 1}}{\shptxt box\par}}{\shprslt box}text\par}", ["box", "text"], {}),
        (rb"{\rtf1 no end", ["no end"], {}),
    ],
)
def test_rich_text_is_read(content: bytes, expected: list[str], left_out: dict[str, int]) -> None:
    found = read(rtf.read(content))
    assert (texts(found), dict(found.tally.left_out)) == (expected, left_out)


def test_heading_of_rich_text_is_known_by_its_style_or_level() -> None:
    styles = rb"{\stylesheet{\s1 heading 1;}{\s2\outlinelevel1 \'b1;}{\s3 Normal;}}"
    content = rb"{\rtf1" + styles + rb"\pard\s1 a\par\pard\s2 b\par\pard\s3 c\par\pard\outlinelevel2 d\par\pard e\par}"
    assert [block.level for block in read(rtf.read(content)).blocks] == [1, 2, 0, 3, 0]


def test_rich_text_is_deep_without_end() -> None:
    assert texts(read(rtf.read(rb"{\rtf1 " + b"{" * 100_000 + b"deep"))) == ["deep"]


def test_fictionbook_is_read_without_its_namespaces(tmp_path: Path) -> None:
    book = tmp_path / "book"
    book.write_text(
        "<FictionBook><body><title><p>The Book</p></title><section><title><p>One</p><p>Two</p></title>"
        "<p>See <l:a l:href='#x'>the <strong>shop</strong></l:a>.</p><table><tr><td>a</td><th>b</th></tr></table>"
        "<poem><title><p>Song</p></title><stanza><v>x,</v><v>y.</v></stanza></poem></section></body>"
        "<body name='comments'><section><p>Remark</p></section></body></FictionBook>"
    )
    found = read(fictionbook.read(book))
    assert texts(found) == ["One Two", "See the shop.", "a, b", "Song", "x,\ny."]
    assert dict(found.tally.left_out) == {"frontMatter": 7, "notes": 6}
