"""Which detector tells the encoding of a text: `python -m bench.encodings`.

Texts of our own, from a word to a page, each in encodings that people still have files in. Right is what gives the text
back, whatever the encoding is called. chardet and faust-cchardet are not among what SmartVoice needs: install them to
see them.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

from app.core.errors import Unprocessable
from app.core.manuscripts.text import decode

_TEXTS = Path(__file__).parents[1] / "tests" / "manuscripts" / "texts"
_SIMPLIFIED = [
    *("你好，世界。", "我们", "今天天气很好", "他的名字叫李明，今年二十岁。", "第一章 少年", "Chapter 1 你好", "目录"),
    *("“你去哪儿？”她问。", "雪下了一夜。", "作者：林听", "★★★\n第一章\n他走了。", "第十二回　客人来了又走"),
]
_TRADITIONAL = [
    *(
        "我們今天去學校。",
        "第一章 少年",
        "他說：「你好，世界。」",
        "楔子",
        "後來他換了酒，人還是沒有來。",
        "沒有人說話。",
    ),
    *("作者：林聽", "雨停了，門開著。"),
]
_WESTERN = [
    *("Café", "Déjà vu, naïve façade", "It cost £5 — or so he said.", "“Well,” she said, “that’s that.”"),
    *(
        "Müller wohnt in der Straße.",
        "¿Dónde está el niño?",
        "L’été dernier, à la mer.",
        "An ordinary line with one é.",
    ),
]
_ENGLISH = ["Hello, world.", "Chapter 1\n\nIt began to rain.", "A", "1. One\n2. Two"]
Sample = tuple[str, str]
Detect = Callable[[bytes], str | None]


def samples() -> list[Sample]:
    """A text and the encoding that it comes in."""
    long = {path.name: path.read_text("utf-8") for path in _TEXTS.glob("*.txt")}
    simplified = [*_SIMPLIFIED, *(text for name, text in long.items() if name.startswith("zh") and "trad" not in name)]
    traditional = [*_TRADITIONAL, long["zh-traditional.txt"], long["zh-traditional.txt"] * 20]
    western = [*_WESTERN, long["en-roman.txt"], long["en-roman.txt"] * 20]
    english = [*_ENGLISH, long["en-numbered.txt"], long["en-parts.txt"]]
    everything = [*simplified, *traditional, *western, *english]
    return [
        *((text, "gb18030") for text in simplified),
        *((text, "big5") for text in traditional),
        *((text, "cp1252") for text in western),
        *(
            (text, encoding)
            for text in everything
            for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")
        ),
    ]


def _ours(data: bytes) -> str | None:
    try:
        return decode(data)
    except Unprocessable:
        return None


def _normalizer(data: bytes) -> str | None:
    best = importlib.import_module("charset_normalizer").from_bytes(data).best()
    return None if best is None else str(best)


def _chardet(data: bytes) -> str | None:
    return _decoded(data, importlib.import_module("chardet").detect(data)["encoding"])


def _faust(data: bytes) -> str | None:
    return _decoded(data, importlib.import_module("cchardet").detect(data)["encoding"])


def _decoded(data: bytes, encoding: str | None) -> str | None:
    try:
        return data.decode(encoding) if encoding else None
    except (UnicodeDecodeError, LookupError):
        return None


def _score(detect: Detect) -> None:
    right: dict[str, list[bool]] = {}
    begun = time.process_time()
    for text, encoding in samples():
        found = (detect(text.encode(encoding)) or "").lstrip("\ufeff")
        kind = f"{encoding}{' short' if len(text) < 100 else ''}"
        right.setdefault(kind, []).append(found == text)
    took = time.process_time() - begun
    for kind, results in sorted(right.items()):
        print(f"  {kind:18} {sum(results):3} of {len(results):3}")
    every = [one for results in right.values() for one in results]
    print(f"  {'all':18} {sum(every):3} of {len(every):3} in {took:.2f} s")


def main() -> None:
    """Prints how often each detector is right."""
    detectors = {"our rule": _ours, "charset-normalizer": _normalizer, "chardet": _chardet, "faust-cchardet": _faust}
    for name, detect in detectors.items():
        print(name)
        try:
            _score(detect)
        except ModuleNotFoundError:
            print("  is not installed", file=sys.stderr)


if __name__ == "__main__":
    main()
