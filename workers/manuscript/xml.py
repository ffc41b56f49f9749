"""XML as a tree, by a parser that refuses whatever could declare something (see `app.core.manuscripts.markup`).

Expat itself says what it finds, so no spelling or encoding hides a declaration from it. A DOCTYPE that only names a
public document, as books of EPUB 2 have it, declares nothing and is never fetched.
"""

from __future__ import annotations

from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from app.core.manuscripts.markup import HEAD_BYTES, encoding_of_markup, unsafe


class MalformedXML(ValueError):
    """What is no XML."""


def parse(content: bytes, *, namespaces: bool = True) -> Element:
    """The root of a document; names of elements and attributes are `{namespace}name`, or without `namespaces` as they
    stand, whether a prefix is declared or not.

    Raises MalformedXML; Unprocessable (`unsafe_xml`) where anything is declared or drawn in from elsewhere.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate("utf-8", "}" if namespaces else None)
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _on_doctype
    parser.EntityDeclHandler = parser.UnparsedEntityDeclHandler = _refuse
    parser.AttlistDeclHandler = parser.ElementDeclHandler = parser.NotationDeclHandler = _refuse
    parser.ExternalEntityRefHandler = _refuse
    parser.StartElementHandler = lambda name, given: _start(builder, name, given)
    parser.EndElementHandler = lambda name: _end(builder, name)
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content.decode(encoding_of_markup(content[:HEAD_BYTES])).lstrip("\ufeff"), True)
        return builder.close()
    except (expat.ExpatError, UnicodeError, AssertionError) as error:
        raise MalformedXML(str(error)) from error


def _start(builder: TreeBuilder, name: str, given: dict[str, str]) -> None:
    builder.start(_qualified(name), {_qualified(key): value for key, value in given.items()})


def _end(builder: TreeBuilder, name: str) -> None:
    builder.end(_qualified(name))


def _qualified(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def _on_doctype(name: str, system: str | None, public: str | None, has_declarations: int) -> None:
    if has_declarations:
        raise unsafe()


def _refuse(*_: object) -> NoReturn:
    raise unsafe()
