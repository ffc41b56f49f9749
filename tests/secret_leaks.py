"""What no log may say. Every line that any test or any process of a test prints is searched for it."""

from __future__ import annotations

import re

MANUSCRIPT = "the keeper of the lamp wrote down"
"""Words that stand in manuscripts of the tests, and nowhere else."""

_NEVER = {
    "a token (JWT)": re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"),
    "a session's cookie": re.compile(r"smartvoice_session=[\w-]{20,}"),
    "a stream ticket": re.compile(r"ticket=[\w-]{20,}"),
    "a sign-in link": re.compile(r"[\"#]link\W{1,4}[\w-]{20,}"),
    "a password": re.compile(r"correct horse"),
    "a key": re.compile(r"a secret of the tests|a secret that only this test knows"),
    "an argon2 hash": re.compile(r"\$argon2"),
    "words of a manuscript": re.compile(MANUSCRIPT),
}


def leaks(text: str) -> list[str]:
    """What of all that stands in `text`, by name, with the line."""
    lines = text.splitlines()
    return [f"{name}: {line}" for line in lines for name, pattern in _NEVER.items() if pattern.search(line)]
