"""What a document is between its markup and its chapters: blocks of plain text, and what was left out of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from workers.manuscript.model import Tally, visible


@dataclass(frozen=True)
class Block:
    """A paragraph of plain text; `level` is 1 to 6 for a heading, 0 for everything else.

    `added`: how many of its visible characters are not the manuscript's.
    """

    level: int
    text: str
    added: int = 0


@dataclass
class Document:
    """The blocks of a document in order, and what it says of itself.

    `anchors`: by the name of a place in the document, the number of the block that begins there.
    """

    blocks: list[Block] = field(default_factory=list)
    title: str = ""
    author: str = ""
    language: str = ""
    tally: Tally = field(default_factory=Tally)
    anchors: dict[str, int] = field(default_factory=dict)


def leave_out(blocks: list[Block], reason: str, tally: Tally) -> None:
    """Counts `blocks` as left out."""
    added = sum(block.added for block in blocks)
    tally.left_out[reason] += sum(visible(block.text) for block in blocks) - added
    tally.added -= added
