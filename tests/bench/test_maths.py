"""The arithmetic of the benchmarks, and the report that it is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import millions, report
from bench.claims import CLAIMS, Claim
from bench.load.msgpack import packed
from bench.measure import Row
from bench.stats import median, paired, percentile, ratio
from bench.steps import steps
from bench.svg import bars, number
from bench.workloads.streams import Plan


def _once(**figures: float) -> dict[str, dict[int, float | None]]:
    """Figures of one pass."""
    return {name: {1: value} for name, value in figures.items()}


def test_percentiles_count_each_value_as_often_as_it_came() -> None:
    samples = [(10.0, 1), (1.0, 98), (5.0, 1)]
    assert percentile(samples, 0.5) == 1.0
    assert percentile(samples, 0.99) == 5.0
    assert percentile(samples, 1.0) == 10.0


def test_percentiles_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 0.5)


def test_medians_and_ratios_leave_out_what_is_not_known() -> None:
    assert median([3.0, None, 1.0, 2.0]) == 2.0
    assert median([None]) is None
    assert ratio(1.0, 4.0) == 0.25
    assert ratio(1.0, 0.0) is None
    assert ratio(None, 4.0) is None


def test_a_machine_that_slows_down_does_not_change_the_ratio() -> None:
    assert paired({1: 1.0, 2: 4.0, 3: 9.0}, {1: 2.0, 2: 8.0, 3: 90.0}) == 0.5
    assert paired({1: 1.0, 2: 4.0}, {1: 2.0}) == 0.5
    assert paired({2: 4.0}, {1: 2.0}) is None


def test_every_other_pass_goes_through_the_servers_in_reverse() -> None:
    plan = Plan(small=True, files=1000)
    first, second, third = ([step.name for step in steps("h", number, plan, Path(), 2, {})] for number in (1, 2, 3))
    assert first == third == ["SmartVoice", "the bare loop"]
    assert second == ["the bare loop", "SmartVoice"]


def test_a_packet_is_packed_as_messagepack_has_it() -> None:
    value = ["e", {"type": 2, "on": True, "no": None}, "音" * 11, "x" * 300, []]
    text = b"\xd9\x21" + "音".encode() * 11
    assert packed(value) == (
        b"\x95\xa1e\x83\xa4type\x02\xa2on\xc3\xa2no\xc0" + text + b"\xda\x01\x2c" + b"x" * 300 + b"\x90"
    )
    with pytest.raises(TypeError):
        packed(1.5)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.5, "goal reached"), (0.7, "bar met"), (0.8, "**not met**"), (None, "not measured")],
)
def test_less_is_judged_by_bar_and_goal(value: float | None, said: str) -> None:
    assert Claim("b", "CPU", lambda figures: value, 0.75, 0.55).verdict({}) == said


@pytest.mark.parametrize(("value", "said"), [(4.0, "goal reached"), (2.0, "bar met"), (1.9, "**not met**")])
def test_more_is_judged_by_bar_and_goal(value: float, said: str) -> None:
    assert Claim("c", "rate", lambda figures: value, 2.0, 4.0, more=True).verdict({}) == said


def test_nothing_that_was_not_measured_is_said_to_hold() -> None:
    assert {claim.verdict({}) for claim in CLAIMS} == {"not measured"}


def test_the_report_has_medians_verdicts_and_what_went_missing(tmp_path: Path) -> None:
    def row(server: str, number: int, cpu: float, lost: int = 0) -> dict[str, object]:
        return {
            "workload": "b",
            "server": server,
            "title": server.title(),
            "figures": {"cpu_ms_per_1000": cpu, "p99_ms": 4.0},
            "number": number,
            "lost": lost,
            "duplicated": 0,
            "load": {"generator": 0.9, "redis": 0.1},
            "note": "",
            "limited": True,
        }

    rows = [row("smartvoice", 1, 30.0), row("smartvoice", 2, 50.0, lost=3), row("smartvoice", 3, 40.0)]
    document = {
        "machine": {"processor": "one"},
        "ran": {"b": {"at": "now", "passes": 3, "minutes": 1, "commit": "abc", "python": "3.11", "load": 0.1}},
        "missing": {"nginx + nchan": "nginx"},
        "failed": [],
        "skipped": [],
        "rows": [*rows, row("socketio", 1, 60.0), row("socketio", 2, 125.0), row("socketio", 3, 80.0)],
    }
    text = report.write(document, tmp_path).read_text()
    assert "| b | CPU an event, to Socket.IO's | 0.5 × | ≤ 0.75 × | ≤ 0.55 × | goal reached |" in text
    assert "40 (0.5 ×)" in text
    assert "90% / 10% | 3 / 0 | **the load's core was too busy" in text
    assert "nginx + nchan was not measured" in text
    assert "| a | 10 000 idle streams: memory each | – |" in text
    assert (tmp_path / "images" / "bench-b.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(("generator", "redis", "limited"), [(0.7, 0.1, False), (0.85, 0.0, True), (0.5, 0.45, True)])
def test_row_is_marked_where_the_load_core_may_be_what_was_measured(
    generator: float, redis: float, limited: bool
) -> None:
    row = Row("c", "smartvoice", "SmartVoice", {}, load={"generator": generator, "redis": redis})
    assert (row.limited, row.as_json()["limited"]) == (limited, limited)


def test_the_longest_bar_fills_the_width_and_names_are_escaped() -> None:
    chart = bars("T", [("a<b", 10.0, True), ("c", 5.0, False)], "ms")
    assert 'width="404.0"' in chart
    assert 'width="202.0"' in chart
    assert "a&lt;b" in chart


@pytest.mark.parametrize(
    ("value", "said"), [(None, "–"), (0.0, "0"), (0.1234, "0.12"), (12.345, "12.3"), (64000.0, "64 000")]
)
def test_numbers_have_three_figures_that_matter(value: float | None, said: str) -> None:
    assert number(value) == said


def test_a_million_users_are_counted_from_what_was_measured() -> None:
    row = {"workload": "b", "server": "smartvoice", "load": {"redis": 0.1}}
    figures = {
        ("a10000", "smartvoice"): _once(kb_each=12.0, idle_cpu_percent=1.0),
        ("b", "smartvoice"): _once(cpu_ms_per_1000=50.0, bytes_each=400.0),
        ("e", "smartvoice"): _once(cpu_s=2.0),
    }
    page = "\n".join(millions.lines(figures, [row]))
    # 40 000 events a second at 50 µs, and a hundred times 1 % of a core.
    assert "| CPU of the web side | 3 cores |" in page
    assert "| web processes | 50 |" in page
    assert "| memory for streams | 12 GB |" in page
    assert "| shards of a Redis Cluster | 8 |" in page
    assert "for 8 s until all are caught up" in page


def test_what_was_not_measured_gives_no_arithmetic() -> None:
    assert millions.lines({}, []) == []


def test_polling_and_pushing_are_compared_for_the_same_hour() -> None:
    figures = {
        ("f200", "express"): _once(cpu_ms=2.0, bytes_each=1000.0),
        ("f304", "smartvoice"): _once(cpu_ms=0.5, bytes_each=500.0),
        ("b", "smartvoice"): _once(cpu_ms_per_1000=50.0, bytes_each=400.0),
    }
    page = "\n".join(millions.lines(figures, []))
    assert "| Express, polled | 120 000 | 240 | 120 |" in page
    assert "| SmartVoice, polled with ETag | 120 000 | 60 | 60 |" in page
    assert "| SmartVoice, pushed | 400 | 0.02 | 0.16 |" in page
