"""What the main job found, as one JSON object and as a page on the terminal. Every figure was measured in the run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.run.labels import LabelCounts
from jobs.run.record import Record
from jobs.run.tally import Tally

EXPECTED_AUC = {"static": 0.60, "online": 0.78}
"""Least test AUC that the shipped configurations promise; of the broken ones nothing is expected."""
EXPECTED_FRESH = 0.9
"""Least share of feature rows that are fresh; of those of October's first days 97 % are. The others are of aircraft
that were away from New York for three days."""

STATUSES = ("fresh", "stale", "missing")


@dataclass(frozen=True, slots=True)
class Training:
    """One submitted training: its configuration's name and the result it printed."""

    name: str
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Replayed:
    """Events that became known while the traffic ran, and the feature rows that they wrote."""

    events: int
    rows: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of the releases under traffic.

    Attributes:
        records: of the releases, in their order.
    """

    tally: Tally
    records: list[Record]
    replayed: Replayed
    labels: LabelCounts


def summarize(
    trainings: list[Training],
    records: list[Record],
    judged: Judged,
    names: Mapping[str, str],
    alias: str | None,
    seconds: float,
) -> dict[str, Any]:
    """The summary as plain values; ``ok`` is whether every promise held, ``broken`` names those that did not.

    Args:
        records: all of the run; those in ``judged`` are among them.
        names: version -> what it is.
        alias: the version that holds the alias champion at the end.
    """
    tally, labels = judged.tally, judged.labels
    trained = {str(training.result["version"]): training for training in trainings}
    broken = []
    if tally.failures:
        broken.append(f"{len(tally.failures)} requests failed, the first with {tally.failures[0]}")
    if not tally.requests:
        broken.append("no request was made")
    moved_back = tally.moved_back
    if moved_back:
        broken.append(f"{moved_back} times a key moved back to the champion without a way back")
    for training in trainings:
        auc, least = training.result["metrics"]["auc"], EXPECTED_AUC.get(training.name, 0.0)
        if auc < least:
            broken.append(f"test AUC of {training.name} is {auc:.3f}, expected at least {least}")
    for record in records:
        broken.extend(record.broken())
    promoted = next((record.version for record in reversed(records) if record.expected == "promoted"), None)
    if promoted is not None:
        broken.extend(_broken_features(tally, promoted))
    misfits = (phase.weights for phase in tally.phases if not phase.as_set())
    broken.extend(f"the observed shares do not fit the weights {dict(weights)}" for weights in misfits)
    if labels.dropped or labels.refused:
        broken.append(f"{labels.dropped} labels found no room, {labels.refused} were refused")
    if alias != promoted:
        broken.append(f"the alias champion is at {alias}, not at {promoted}")
    summary = {
        "ok": not broken,
        "broken": broken,
        "seconds": round(seconds, 1),
        "versions": {
            version: {"configuration": name, **_trained(trained.get(version)), **_served(tally, version)}
            for version, name in names.items()
        },
        "releases": [_released(record) for record in records],
        "phases": [
            {
                "weights": dict(phase.weights),
                "keys": len(phase.keys),
                "shares": {
                    version: {
                        "set": weight,
                        "observed_keys": phase.share(version).share,
                        "interval_95": [phase.share(version).low, phase.share(version).high],
                        "observed_requests": phase.request_share(version),
                    }
                    for version, weight in phase.weights.items()
                },
                "seconds_from_decision_until_all_replicas_followed": phase.followed_s,
            }
            for phase in tally.phases
        ],
        "requests": tally.requests,
        "failed_requests": len(tally.failures),
        "failures": tally.failures[:10],
        "keys_moved_back": moved_back,
        "answers_after_fall_over": tally.fell_over,
        "labels": asdict(labels),
        "replayed_events": judged.replayed.events,
        "rows_written_by_replay": judged.replayed.rows,
        "champion": alias,
    }
    return {name: _json_number(value) for name, value in summary.items()}


def show(console: Console, summary: Mapping[str, Any], addresses: Mapping[str, str]) -> None:
    """Print the summary and where to look next."""
    models = Table(title="Versions", box=None, title_justify="left", pad_edge=False)
    for title in (
        "version",
        "test AUC",
        "avg precision",
        "Brier",
        "trained in",
        "requests",
        "not answered",
        "live AUC",
        "live Brier",
        "p50 ms",
        "p99 ms",
    ):
        models.add_column(title, justify="left" if title == "version" else "right")
    for version, found in summary["versions"].items():
        test = found["test"] or {}
        models.add_row(
            f"{version} {found['configuration']}",
            _number(test.get("auc"), ".3f"),
            _number(test.get("average_precision"), ".3f"),
            _number(test.get("brier"), ".3f"),
            "" if found["training_seconds"] is None else f"{found['training_seconds']:.0f} s",
            str(found["requests"]),
            str(found["failed_attempts"]),
            _number(found["live_auc"], ".3f"),
            _number(found["live_brier"], ".3f"),
            _number(found["latency_p50_ms"], ".1f"),
            _number(found["latency_p99_ms"], ".1f"),
        )
    phases = Table(title="Weights, set and observed", box=None, title_justify="left", pad_edge=False)
    for title in ("version", "set", "of keys", "95 % interval", "of requests", "keys", "all follow after"):
        phases.add_column(title, justify="left" if title == "version" else "right")
    for phase in summary["phases"]:
        for version, share in phase["shares"].items():
            low, high = share["interval_95"]
            phases.add_row(
                version,
                f"{share['set']:.0%}",
                _number(share["observed_keys"], ".1%"),
                f"{low:.1%} to {high:.1%}",
                _number(share["observed_requests"], ".1%"),
                str(phase["keys"]),
                f"{phase['seconds_from_decision_until_all_replicas_followed']:.1f} s",
            )
    for table in (models, phases, _releases_table(summary["releases"])):
        console.print()
        console.print(table)
    for release in summary["releases"]:
        if release["reason"]:
            console.print(f"version {release['version']} was {release['end'].replace('_', ' ')}: {release['reason']}")
    for version, found in summary["versions"].items():
        if (features := found["features"])["replies"]:
            console.print(f"\n{_features_line(version, features, summary)}", highlight=False)
    console.print(
        f"\n{summary['requests']} requests, {summary['failed_requests']} failed, "
        f"{summary['answers_after_fall_over']} fell over to another version; "
        f"{summary['labels']['posted']} labels posted, as flights landed by the replay's clock; "
        f"{summary['keys_moved_back']} keys moved back; "
        f"champion is version {summary['champion']}; {summary['seconds']:.0f} s in all",
        highlight=False,
    )
    for promise in summary["broken"]:
        console.print(f"broken promise: {promise}", style="red", highlight=False, markup=False)
    if addresses:
        console.print()
        for name, address in addresses.items():
            console.print(f"{name:16} {address}", highlight=False)


def _json_number(value: Any) -> Any:
    """The same with null for NaN, which JSON cannot write."""
    if isinstance(value, dict):
        return {name: _json_number(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_json_number(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _broken_features(tally: Tally, version: str) -> Iterator[str]:
    found = tally.versions.get(version)
    if found is None or not found.requests:
        return
    features = found.features
    if features.replies < found.requests:
        yield f"{found.requests - features.replies} answers of version {version} did without features"
    if features.degraded:
        yield f"the feature store gave no answer for {features.degraded} requests"
    if features.rows and features.fresh < EXPECTED_FRESH * features.rows:
        yield f"{features.fresh} of {features.rows} feature rows were fresh, expected are {EXPECTED_FRESH:.0%}"


def _features_line(version: str, features: Mapping[str, int], summary: Mapping[str, Any]) -> str:
    rows = sum(features[status] for status in STATUSES)
    shares = ", ".join(f"{features[status] / rows:.1%} {status}" for status in STATUSES) if rows else "none answered"
    return (
        f"Features of version {version}: {rows:,} rows read online, {shares}; "
        f"{features['degraded']} requests without an answer of the store; "
        f"{summary['replayed_events']:,} events replayed into {summary['rows_written_by_replay']:,} rows"
    )


def _releases_table(releases: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Releases", box=None, title_justify="left", pad_edge=False)
    for title in (
        "version",
        "strategy",
        "ended",
        "first weight to decision",
        "then followed by all after",
        "answered",
        "fell over",
        "failed",
    ):
        table.add_column(title, justify="left" if title in ("version", "strategy", "ended") else "right")
    for release in releases:
        table.add_row(
            f"{release['version']} {release['name']}",
            release["strategy"].replace("_", "-"),
            release["end"].replace("_", " "),
            _seconds(release["seconds_to_decision"]),
            _seconds(release["seconds_to_followed"]),
            str(release["answered"]),
            str(release["fell_over"]),
            str(release["failed_requests"]),
        )
    return table


def _released(record: Record) -> dict[str, Any]:
    judge = record.state.get("judge") or {}
    return {
        "release": record.release,
        "version": record.version,
        "name": record.name,
        "strategy": record.state.get("strategy", ""),
        "expected": record.expected,
        "end": record.end,
        "reason": record.state.get("reason", ""),
        "seconds_to_decision": record.seconds_to_decision,
        "seconds_to_followed": record.seconds_to_followed,
        "answered": record.answered,
        "fell_over": record.failed_attempts,
        "failed_requests": record.failed,
        "guards": list(judge.get("guards", ())),
    }


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def _trained(training: Training | None) -> dict[str, Any]:
    """What a training printed; null for a version that was made without one."""
    if training is None:
        return {"test": None, "training_seconds": None, "job_seconds": None}
    result = training.result
    return {
        "test": dict(result["metrics"]),
        "training_seconds": result["train_seconds"],
        "job_seconds": result["seconds"],
    }


def _served(tally: Tally, version: str) -> dict[str, Any]:
    found = tally.version(version)
    quality = found.quality()
    return {
        "requests": found.requests,
        "failed_attempts": found.failed_attempts,
        "live_auc": quality.auc,
        "live_brier": quality.brier,
        "latency_p50_ms": found.latency_ms(0.5),
        "latency_p99_ms": found.latency_ms(0.99),
        "features": asdict(found.features),
    }
