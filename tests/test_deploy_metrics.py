"""The dashboard and the alerts, held against the metrics that the code exports and the runbooks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from app.core.telemetry import metrics
from tests.test_promises import exported

ROOT = Path(__file__).parents[1]
DASHBOARD = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
RULES = [
    rule for group in yaml.safe_load((ROOT / "deploy/alerts.yml").read_text())["groups"] for rule in group["rules"]
]
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
LABELS = {"process", "instance", "job", "le", "queue", "transport"}


@pytest.mark.parametrize("query", [*QUERIES, *(rule["expr"] for rule in RULES)])
def test_query_asks_for_metrics_and_labels_that_are_exported(query: str) -> None:
    names = set(re.findall(r"\bsmartvoice_\w+", query))
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in names} <= exported() or not names
    asked = set(re.findall(r"(\w+)\s*(?:=~|!=|=)\s*\"", query))
    asked |= {word for listed in re.findall(r"by \(([^)]*)\)", query) for word in re.findall(r"\w+", listed)}
    assert asked <= labels() | LABELS
    assert query.count("(") == query.count(")")


def labels() -> set[str]:
    kinds = (Counter, Gauge, Histogram)
    return {label for one in vars(metrics).values() if isinstance(one, kinds) for label in one._labelnames}


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for query in QUERIES
        for name in re.findall(r"\bsmartvoice_\w+", query)
    }
    assert shown == exported()


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    page = (ROOT / "docs/run/runbooks.md").read_text()
    sections = re.findall(r"^## (\w+)$", page, re.M)
    assert sections == [rule["alert"] for rule in RULES]
    for rule in RULES:
        said = re.search(rf"^## {rule['alert']}\n\n\*\*(.*?)\*\*", page, re.M)
        assert said
        assert said[1].replace("`", "") == rule["annotations"]["summary"]
        assert rule["annotations"]["runbook"] == f"docs/run/runbooks.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert re.fullmatch(r"\d+m", rule["for"])
