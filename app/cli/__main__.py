"""`python -m app.cli` is `smartvoice`.

The two commands that `smartvoice up` starts and keeps are carried out without typer and rich, which they have no use
for: that is 6 MB of memory in each process.
"""

from __future__ import annotations

import sys

from app.cli.import_without import import_without


def main() -> None:
    """Does what the command line asks for."""
    match sys.argv[1:]:
        case ["web"]:
            import_without({"rich", "pygments"}, "structlog", "httpx")
            from app.cli.web import serve_web
            from app.core.settings import Settings

            serve_web(Settings())
        case ["worker", "--processes", "1"]:
            import_without({"rich"}, "structlog")
            from app.cli.worker import work

            sys.exit(work(1))
        case _:
            # It would bring what colours source code, for tracebacks that are never shown.
            import_without({"rich.traceback"}, "structlog")
            from app.cli.main import app

            app()


if __name__ == "__main__":
    main()
