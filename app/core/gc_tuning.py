"""When Python's collector looks for garbage: not while a process starts, and seldom while it works."""

from __future__ import annotations

import gc

_AFTER = (20_000, 20, 20)


def hold() -> None:
    """From here on nothing is looked for: what a process imports as it starts is there to stay, and looking through it
    again and again takes a tenth of the start. Processes that are forked off begin so, too."""
    gc.disable()


def settle() -> None:
    """The process has started. What is there by now stays; of the rest little is garbage that only a collection finds,
    and looking for it at the usual pace takes a twentieth of a busy process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_AFTER)
    gc.enable()
