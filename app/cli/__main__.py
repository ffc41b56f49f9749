"""`python -m app.cli` is `smartvoice`.

The two commands that `smartvoice up` starts and keeps are carried out without typer and rich, which they have no use
for: that is 6 MB of memory in each process.
"""

from __future__ import annotations

import sys
from importlib import import_module


def _main() -> None:
    match sys.argv[1:]:
        case ["web"]:
            _import_without_rich("structlog", "httpx")
            from app.cli.serve import serve_web
            from app.core.settings import Settings

            serve_web(Settings())
        case ["worker", "--processes", "1"]:
            _import_without_rich("structlog")
            from app.cli.work import work

            sys.exit(work(1))
        case _:
            from app.cli.main import app

            app()


def _import_without_rich(*names: str) -> None:
    """Imports modules that would load rich wherever it is installed; whoever imports it later finds it."""
    sys.modules["rich"] = None  # type: ignore[assignment] # as the import statement knows what may not be imported
    for name in names:
        import_module(name)
    del sys.modules["rich"]


if __name__ == "__main__":
    _main()
