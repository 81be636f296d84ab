"""Rules and dashboards: every expression is PromQL and reads what is there, under labels and values that can be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import promql_parser
import pytest
import ray

from app.events.publisher import PublisherStats
from app.gateway.access.rate_limit.limiter import LimiterStats
from app.gateway.prediction_cache.cache_stats import CacheStats
from app.gateway.shadow.mirror import MirrorStats
from app.monitoring.labels.tally import JoinStats
from app.monitoring.metrics import SECONDS
from app.monitoring.samples.sample_writer import SampleStats
from app.releases.model.release import Phase
from tests.support.components import CLUSTER, of
from tests.support.metric_names import OF_RAY, in_prometheus
from tests.support.promql import matches, reads

DASHBOARDS = {
    path.stem: json.loads(path.read_text()) for path in CLUSTER.glob("components/monitoring/dashboards/*.json")
}
RULES = [
    rule for each in of("monitoring", "PrometheusRule") for group in each["spec"]["groups"] for rule in group["rules"]
]
RECORDED = {rule["record"]: reads(rule["expr"]).grouping for rule in RULES if "record" in rule}
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}

VALUES = {
    ("tidegate_events", "outcome"): PublisherStats,
    ("tidegate_labels", "outcome"): PublisherStats,
    ("tidegate_prediction_cache", "outcome"): CacheStats,
    ("tidegate_rate_limits", "outcome"): LimiterStats,
    ("tidegate_samples", "outcome"): SampleStats,
    ("tidegate_mirrored_requests", "outcome"): MirrorStats,
    ("tidegate_label_join", "outcome"): JoinStats,
}
"""What is counted under these labels: the fields of a class."""


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule.get("alert") or rule["record"], rule["expr"]
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield f"{name}: {panel['title']} {target['refId']}", target["expr"]


EXPRESSIONS = dict(expressions())


def values_of(metric: str, label: str) -> set[str] | None:
    """The values that a label of ours can have; None: not a closed set."""
    bare = re.sub(r"^ray_|_total$", "", metric)
    if (bare, label) in VALUES:
        return {field.name for field in fields(VALUES[bare, label])}
    if (bare, label) == ("tidegate_feature_rows", "status"):
        return {"fresh", "stale", "missing"}
    if (bare, label) == ("tidegate_releases", "phase"):
        return set(get_args(Phase))
    if label == "le":
        return {str(bound) for bound in SECONDS}
    return None


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_metrics_of_each_expression_exist(where: str) -> None:
    found, known = reads(EXPRESSIONS[where]), in_prometheus() | {name: frozenset(by) for name, by in RECORDED.items()}
    assert found.metrics <= known.keys(), f"no such metric: {found.metrics - known.keys()}"
    for metric, matchers in found.matchers:
        for label, is_regex, text in matchers:
            assert label in known[metric], f"{metric} has no label {label}"
            values = values_of(metric, label)
            if values is not None and not text.startswith("$"):
                parts = text.split("|") if is_regex else [text]
                for part in parts:
                    assert matches(is_regex, part, values), (
                        f"{label} of {metric} is never {part}: it is one of {values}"
                    )
    for label in found.grouping:
        assert any(label in known[metric] for metric in found.metrics), f"nothing of {where} has the label {label}"


def test_expressions_read_no_dropped_metric() -> None:
    read = {
        metric for each in EXPRESSIONS.values() for metric in reads(each).metrics if metric.startswith("haproxy_")
    }
    workers = of("monitoring", "PodMonitor", "tidegate-ray-workers")[0]
    kept = [
        step["regex"]
        for endpoint in workers["spec"]["podMetricsEndpoints"]
        for step in endpoint["metricRelabelings"]
        if step["action"] == "keep"
    ]
    assert len(kept) == 1
    assert read
    assert {metric for metric in read if not re.fullmatch(kept[0], metric)} == set()


@pytest.mark.parametrize("name", OF_RAY)
def test_metrics_of_ray_are_in_the_installed_ray(name: str) -> None:
    known = OF_RAY[name]
    assert (known.words or name).encode() in (Path(ray.__file__).parent / known.where).read_bytes()


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("ray_tidegate_request_count", "no such metric"),
        ('ray_tidegate_rows_total{version="1"}', "no label version"),
        ('ray_tidegate_events_total{outcome="lost"}', "never lost"),
        ("sum by (model) (ray_tidegate_events_total)", "has the label model"),
    ],
)
def test_unknown_metric_is_reported(expression: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXPRESSIONS, "made up", expression)
    with pytest.raises(AssertionError, match=reason):
        test_metrics_of_each_expression_exist("made up")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_can_be_shown(name: str) -> None:
    dashboard = DASHBOARDS[name]
    panels = dashboard["panels"]
    variables = {each["name"] for each in dashboard["templating"]["list"]}
    assert dashboard["uid"] == f"tidegate-{name}"
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for target in panel["targets"]:
            assert target["legendFormat"], panel["title"]
            used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
            assert used <= variables, f"{panel['title']}: {used - variables} are no variables"
            legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert legend <= reads(target["expr"]).grouping, f"{panel['title']}: {legend} are not all in the result"
    places = [_cells(panel["gridPos"]) for panel in panels]
    assert sum(map(len, places)) == len(set().union(*places)), "panels lie upon each other"


def _cells(place: dict[str, int]) -> set[tuple[int, int]]:
    assert place["x"] + place["w"] <= 24
    return {
        (x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])
    }


@pytest.mark.parametrize("name", ALERTS)
def test_alert_has_severity_summary_and_runbook(name: str) -> None:
    alert: dict[str, Any] = ALERTS[name]
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    by = reads(alert["expr"])
    for label in re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]):
        series = {
            metric
            for metric in by.metrics
            if label in in_prometheus().get(metric, frozenset(RECORDED.get(metric, ())))
        }
        assert series, f"{label} is a label of none of {by.metrics}"
        assert label in by.grouping or "by (" not in alert["expr"]
    assert promql_parser.parse_duration(alert.get("for", "1s"))


def test_names_of_alerts_are_unique() -> None:
    names = [rule.get("alert") or rule["record"] for rule in RULES]
    assert len(set(names)) == len(names)
