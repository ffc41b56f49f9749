"""What a schema cannot say, and what schemathesis cannot take from one."""

from __future__ import annotations

from typing import Any

import anyio
import schemathesis
from hypothesis import strategies as st

# It reads its own source when it is first imported, which in two threads at once breaks CPython 3.11's parser.
assert anyio

_WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]))

# A manuscript has something in it to read aloud; any other bytes are rightly refused.
schemathesis.openapi.format("binary", _WORDS.map(lambda words: f"Chapter 1\n\n{words}".encode()))


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """In its phase `coverage` it writes letters and digits alone into headers, and thinks that they fit any pattern."""
    cursor = case.headers.get("Last-Event-ID", "-")
    if case.meta is not None and case.meta.generation.mode.is_positive and "-" not in cursor:
        del case.headers["Last-Event-ID"]
