"""The runbook: a chapter for each alert and none without, which names only what exists."""

from __future__ import annotations

import re

import pytest

from app.settings import variables
from tests.cluster.manifests.test_edge_metrics import ALERTS, DASHBOARDS
from tests.support.components import CLUSTER

TEXT = (CLUSTER / "runbook.md").read_text()
CHAPTERS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", TEXT.partition("## Alerts\n")[2], re.M | re.S))


def test_alerts_and_chapters_of_the_runbook_match() -> None:
    assert CHAPTERS.keys() == ALERTS.keys()


@pytest.mark.parametrize("name", ALERTS)
def test_the_alert_leads_to_its_chapter(name: str) -> None:
    assert ALERTS[name]["annotations"]["runbook"] == f"cluster/runbook.md#{name.lower()}"


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_has_where_to_look_and_what_to_do(name: str) -> None:
    lines = CHAPTERS[name].strip().splitlines()
    assert 4 <= len(lines) <= 12
    assert "\nSee " in CHAPTERS[name] or name in ("TidegateEventsDropped",)
    assert any(line.startswith("- ") for line in lines)


def test_references_of_the_runbook_exist() -> None:
    titles = {panel["title"] for dashboard in DASHBOARDS.values() for panel in dashboard["panels"]}
    named = set(re.findall(r'"([A-Z][^"\n]+)"', TEXT)) - {"Recent failures"}  # of `ray status`
    assert named <= titles, f"no such panels: {named - titles}"
    assert set(re.findall(r"\bTidegate[A-Z]\w+", TEXT)) <= ALERTS.keys()
    clients = {"TIDEGATE_GATEWAY_ADMIN_KEY"}
    assert set(re.findall(r"\bTIDEGATE_[A-Z_]+[A-Z]", TEXT)) - clients <= set(variables()), "no such settings"
