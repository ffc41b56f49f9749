"""Ask for published advisories about every locked package. Exit status: 0 none, 1 some, 2 nobody could be asked.

A service that is out of reach, or that answers without advisories (an index of one's own often does), must not look
like a clean result. So a version with a known fault is asked about first: where that is not found, nothing was checked.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).parent.parent
SERVICES = ("pypi", "osv")
KNOWN_FAULT = "joserfc==1.4.0"
"""CVE-2026-75509 and others."""
LOCKS = ("test", "tools")
"""Together they have everything: `run` is part of `test`."""


def ask(service: str, *words: str) -> subprocess.CompletedProcess[str]:
    """pip-audit's answer by one service; it installs nothing."""
    audit = str(Path(sys.executable).with_name("pip-audit"))
    command = [audit, "--vulnerability-service", service, "--disable-pip", "--progress-spinner", "off", *words]
    return subprocess.run(command, capture_output=True, text=True)


def knows_advisories(service: str) -> bool:
    """Whether the service is reached and reports the fault that is known."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(KNOWN_FAULT + "\n")
        file.flush()
        answer = ask(service, "--no-deps", "--requirement", file.name)
    return answer.returncode == 1 and "joserfc" in answer.stdout


def main() -> int:
    service = next(filter(knows_advisories, SERVICES), None)
    if service is None:
        print(
            f"NOT CHECKED: no service with advisories is within reach from here (asked {' and '.join(SERVICES)} about "
            f"{KNOWN_FAULT}, which has some). Run `make audit` where they can be reached.",
            file=sys.stderr,
        )
        return 2
    status = 0
    for name in LOCKS:
        answer = ask(service, "--require-hashes", "--requirement", str(HOME / "requirements" / f"{name}.lock"))
        print(f"requirements/{name}.lock, asked {service}:\n{answer.stdout}{answer.stderr}", end="")
        status |= answer.returncode
    return 1 if status else 0


if __name__ == "__main__":
    sys.exit(main())
