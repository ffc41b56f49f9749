"""Where pandoc is: the one that the package pypandoc_binary brings, else the machine's.

pypandoc itself would run it once to ask for its version, outside of any sandbox, and block the worker meanwhile.
"""

from __future__ import annotations

import os
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def path() -> str:
    """Its absolute path. Raises FileNotFoundError."""
    package = find_spec("pypandoc")
    bundled = Path(package.origin).parent / "files" / "pandoc" if package and package.origin else Path()
    found = str(bundled) if bundled.is_file() else shutil.which("pandoc")
    if not found:
        raise FileNotFoundError("pandoc is not installed here")
    return os.path.abspath(found)
