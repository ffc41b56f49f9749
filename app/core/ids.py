"""Ids of projects, chapters, jobs and requests."""

from __future__ import annotations

import os


def new_id() -> str:
    """An id that nobody guesses: 80 random bits in hex."""
    return os.urandom(10).hex()
