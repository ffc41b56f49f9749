"""What a run of the tests has measured, told at its end; with xdist a test's own output would stay in its process.

def test_page_weighs_little(measured: Measured) -> None:
    measured("The page: 40 kB")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser import coverage

Measured = Callable[[str], None]
_TOLD = "measured"


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Tells of a figure, in a line or more, at the end of the run."""
    return lambda text: request.node.user_properties.append((_TOLD, text))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = [line for text in _properties(terminalreporter, _TOLD) for line in text.splitlines()]
    if lines:
        terminalreporter.write_sep("=", "measured")
        terminalreporter.write_line("\n".join(lines))
    if rows := coverage.table(_properties(terminalreporter, coverage.PROPERTY)):
        terminalreporter.write_sep("=", "lines of static/js that ran in the browser tests")
        terminalreporter.write_line("\n".join(rows))


def _properties(reporter: pytest.TerminalReporter, name: str) -> Iterator[Any]:
    """Of every test that has ended, on whichever process."""
    for reports in reporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "teardown":
                yield from (value for key, value in report.user_properties if key == name)
