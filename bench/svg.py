"""Bar charts as SVG, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _LABEL, _ROW, _TOP, _VALUE = 720, 220, 30, 44, 96
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:14px}"
    ".bar{fill:#8c959f}.ours{fill:#0969da}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.bar{fill:#6e7681}.ours{fill:#4493f8}}"
)


def bars(title: str, rows: Sequence[tuple[str, float, bool]], unit: str) -> str:
    """A horizontal bar for each (name, value, whether it is ours); the longest fills the width."""
    longest = max((value for _, value, _ in rows), default=0.0) or 1.0
    height = _TOP + _ROW * len(rows) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title, quote=True)}">',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="8" y="24">{escape(title)}</text>',
    ]
    for index, (name, value, ours) in enumerate(rows):
        top = _TOP + index * _ROW
        kind = "ours" if ours else "bar"
        width = max(1.0, (_WIDTH - _LABEL - _VALUE) * value / longest)
        parts += [
            f'<text x="{_LABEL - 10}" y="{top + 16}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" x="{_LABEL}" y="{top}" width="{width:.1f}" height="22" rx="3"/>',
            f'<text x="{_LABEL + width + 8:.1f}" y="{top + 16}">{number(value)} {escape(unit)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def number(value: float | None) -> str:
    """A number with three figures that matter, as people write it; a dash where there is none."""
    if value is None:
        return "–"
    if value and abs(value) < 1:
        return f"{value:.2g}"
    if abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}".replace(",", " ")
