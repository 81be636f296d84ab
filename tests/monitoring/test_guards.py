"""A guard of the test's own: declared once, known to plans, documents, gateway replicas, judge and command line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import Field, ValidationError

from app.gateway.inference.call import InferCall
from app.gateway.inference.request_record import RequestRecord
from app.gateway.shadow.losses import measured_guards, of_pair, of_request
from app.gateway.trace_context import Identity
from app.model_spec import FieldSpec, ModelSpec
from app.monitoring.guards import GUARDS, Answer, DriftGuard, Guard, LatencyGuard, MeanDifference, Test
from app.monitoring.sums import Sums, Tick
from app.releases.api.release_body import ReleaseBody, release_body
from app.releases.control.evaluation import evaluation_of
from app.releases.control.release_admission import Candidate, ReleaseAdmissionError, admit
from app.releases.model.plan import ReleasePlan
from app.releases.model.release import Release
from app.releases.model.routing_context import context_of
from app.routing.release_context import OutputRange, ReleaseContext
from app.routing.route_table import RouteTable, decode
from app.web.keys import Caller
from jobs.release.sentences import present
from tests.releases.documents import plan, release

CALL = InferCall("m", {}, Caller("c", "c"), Identity("r", "0" * 32, "0" * 16))


class MissingGuard(Guard):
    """The share of an output's values that are no number."""

    metric: Literal["missing"]
    output: str
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.1

    def test(self) -> Test:
        return MeanDifference(self.tolerance)

    def output_name(self) -> str:
        return self.output

    def loss_of(self, answer: Answer) -> float | None:
        values = (answer.outputs or {}).get(self.output)
        return None if values is None else float(np.isnan(values).mean())


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleasePlan]:
    """A plan with the guard, while it is known."""

    def rebuild() -> None:
        for model in (ReleasePlan, Release, ReleaseBody):
            model.model_rebuild(force=True)

    with monkeypatch.context() as patch:
        patch.setitem(GUARDS, "missing", MissingGuard)
        rebuild()
        yield plan(guards=[{"metric": "missing", "output": "y"}])
    rebuild()


def record(version: str, *y: float) -> RequestRecord:
    outputs = {"y": np.array(y)}
    return RequestRecord(CALL, "k", picked=version, version=version, status=200, version_s=0.1, outputs=outputs)


def test_a_guard_of_ones_own_is_planned_measured_judged_and_shown(missing: ReleasePlan) -> None:
    held = Release.model_validate_json(release(plan=missing).model_dump_json())
    assert held.plan == missing
    schemas = ReleaseBody.model_json_schema()["$defs"]
    assert "MissingGuard" in schemas

    table = decode(RouteTable("flights", 1, "salt", release_context=context_of(held)).encode())
    context = table.release_context
    assert context is not None
    nan = float("nan")
    assert of_request(context, record("2", nan, 1.0), "challenger") == [
        ("errors", "challenger", 0.0),
        ("missing", "challenger", 0.5),
    ]
    assert of_pair(context, record("1", 1.0), record("2", nan))[2:] == [
        ("missing/pairs", "challenger", 1.0),
        ("missing/pairs", "champion", 0.0),
    ]

    ticks: dict[int, Tick] = {
        tick: {"missing": {"challenger": Sums(50, 40.0, 35.0), "champion": Sums(50, 0.0, 0.0)}} for tick in range(20)
    }
    found = evaluation_of(held, ticks, now=20)
    assert found.verdict == "fail"
    assert found.why.startswith("missing 80.00% of 1,000 against 0.00% of 1,000")
    shown = " ".join(present(release_body(found.release).model_dump(mode="json")))
    assert "missing fail, e " in shown


def test_an_output_that_the_challenger_lacks_is_refused(missing: ReleasePlan) -> None:
    spec = ModelSpec(model="flights", version="2", inputs=(), outputs=(FieldSpec("z", "float64"),), columns=True)
    with pytest.raises(ReleaseAdmissionError, match=r"guards\.missing\.output 'y': version 2 of flights gives z"):
        admit(Candidate("2", spec, side_effects=False), None, "flights", missing, 1, "key")


def test_a_guard_that_a_replica_does_not_know_is_left_out(missing: ReleasePlan) -> None:
    context = context_of(release(plan=missing))
    del GUARDS["missing"]
    assert measured_guards(context) == ()
    newer = replace(context, guards=('{"metric":"drift","output":"y","bins":7}',))
    assert measured_guards(newer) == (DriftGuard(metric="drift", output="y"),)


def test_the_table_of_an_older_controller_is_measured() -> None:
    context = ReleaseContext("r1", "1", "2", slow_over_s=0.25, drift=OutputRange("y", 0.0, 2.0))
    assert measured_guards(context) == (
        LatencyGuard(metric="latency", objective="250ms"),
        DriftGuard(metric="drift", output="y", low=0.0, high=2.0),
    )


@pytest.mark.parametrize("metric", GUARDS)
def test_the_name_of_a_guard_is_the_one_it_is_listed_by(metric: str) -> None:
    fields: dict[str, Any] = {"objective": "1s"} if metric == "latency" else {}
    if metric in ("quality", "drift", "agreement"):
        fields |= {"output": "y", "tolerance": 0.1}
    assert GUARDS[metric](metric=metric, **fields).metric == metric
    with pytest.raises(ValidationError):
        GUARDS[metric](metric="other", **fields)
