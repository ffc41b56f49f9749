"""The XML parts of an office document's archive, and the names in them without their namespaces."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from xml.etree.ElementTree import Element

from app.core.errors import JobError
from workers.manuscript import xml


def part(archive: zipfile.ZipFile, name: str) -> Element | None:
    """The root of a part; None where there is none of that name.

    Raises JobError (`conversion_failed`) where it is no XML; Unprocessable (`unsafe_xml`).
    """
    try:
        return xml.parse(archive.read(name))
    except KeyError:
        return None
    except xml.MalformedXML as error:
        raise broken(name) from error


def main_part(archive: zipfile.ZipFile, name: str) -> Element:
    """The same of a part that must be there."""
    root = part(archive, name)
    if root is None:
        raise broken(name)
    return root


def broken(name: str) -> JobError:
    """The error that says that the part `name` cannot be read."""
    return JobError("conversion_failed", f"The file could not be read: its part {name} is missing or broken.")


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return _local(str(element.tag))


def _local(name: str) -> str:
    return name.rpartition("}")[2].rpartition(":")[2]


def attribute(element: Element, name: str) -> str:
    """An attribute by its name without a namespace; empty where there is none."""
    return next((value for key, value in element.attrib.items() if _local(key) == name), "")


def children(element: Element | None) -> Iterable[Element]:
    """The children of an element, or of none. (Whether an element without children is true, Python changes.)"""
    return element if element is not None else ()


def child(element: Element | None, name: str) -> Element | None:
    """The first child of a name."""
    return next((one for one in children(element) if local(one) == name), None)
