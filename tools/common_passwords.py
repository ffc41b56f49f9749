"""Write `app/auth/common_passwords.bin` from a list of passwords, one a line: `python tools/common_passwords.py LIST`.

The file of the repository was made from the 30 000 most common in zxcvbn's frequency list (MIT), which were counted in
public collections of leaked passwords. Only digests are kept: nobody has to read the words in a diff.
"""

from __future__ import annotations

import sys
from pathlib import Path

from app.auth.password_rules import digest

_TARGET = Path(__file__).parents[1] / "app" / "auth" / "common_passwords.bin"
_MIN_LENGTH = 4


def main(source: Path) -> None:
    words = {line.strip().casefold() for line in source.read_text().splitlines()}
    digests = sorted({digest(word) for word in words if len(word) >= _MIN_LENGTH})
    _TARGET.write_bytes(b"".join(digests))
    print(f"{len(digests)} passwords, {_TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
