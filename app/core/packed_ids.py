"""Many ids in little memory, for who reads thousands of records at the pace of a slow client."""

from __future__ import annotations

from collections.abc import Iterable

_BETWEEN = " "  # which no id has


class PackedIds:
    """Ids in their order as one string; a third of the memory of a list."""

    __slots__ = ("_text",)

    def __init__(self, ids: Iterable[str]) -> None:
        self._text = _BETWEEN.join(ids)

    def __bool__(self) -> bool:
        return bool(self._text)

    def divided(self, count: int) -> tuple[list[str], PackedIds]:
        """The first `count` ids, or all there are, and the rest."""
        parts = self._text.split(_BETWEEN, count)
        return [part for part in parts[:count] if part], PackedIds(parts[count:])
