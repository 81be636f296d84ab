"""What the main job found, as one JSON object and as a page on the terminal. Every figure was measured in the run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.run.tally import Tally

EXPECTED_AUC = {"static": 0.60, "online": 0.78}
"""Least test AUC that the shipped configurations promise."""
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


def summarize(
    trainings: list[Training],
    tally: Tally,
    replayed: Replayed,
    alias: str | None,
    promoted: str,
    removed: str,
    seconds: float,
) -> dict[str, Any]:
    """The summary as plain values; ``ok`` is whether every promise held, ``broken`` names those that did not."""
    versions = {str(training.result["version"]): training for training in trainings}
    broken = []
    if tally.failures:
        broken.append(f"{len(tally.failures)} requests failed, the first with {tally.failures[0]}")
    if tally.moved_back:
        broken.append(f"{tally.moved_back} times a key moved back to the old version")
    for training in trainings:
        auc, least = training.result["metrics"]["auc"], EXPECTED_AUC[training.name]
        if auc < least:
            broken.append(f"test AUC of {training.name} is {auc:.3f}, expected at least {least}")
    broken.extend(_broken_features(tally, promoted))
    if any(not phase.keys for phase in tally.phases):
        broken.append("no request was answered under some of the weights")
    misfits = (phase.weights for phase in tally.phases if not phase.as_set())
    broken.extend(f"the observed shares do not fit the weights {dict(weights)}" for weights in misfits)
    if alias != promoted:
        broken.append(f"the alias champion is at {alias}, not at {promoted}")
    summary = {
        "ok": not broken,
        "broken": broken,
        "seconds": round(seconds, 1),
        "versions": {
            version: {
                "configuration": training.name,
                "test": dict(training.result["metrics"]),
                "training_seconds": training.result["train_seconds"],
                "job_seconds": training.result["seconds"],
                **_served(tally, version),
            }
            for version, training in versions.items()
        },
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
                "seconds_until_all_replicas_followed": phase.followed_s,
            }
            for phase in tally.phases
        ],
        "requests": tally.requests,
        "failed_requests": len(tally.failures),
        "failures": tally.failures[:10],
        "keys_moved_back": tally.moved_back,
        "answers_after_fall_over": tally.fell_over,
        "replayed_events": replayed.events,
        "rows_written_by_replay": replayed.rows,
        "champion": alias,
        "removed": removed,
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
        "failed",
        "live AUC",
        "p50 ms",
        "p99 ms",
    ):
        models.add_column(title, justify="left" if title == "version" else "right")
    for version, found in summary["versions"].items():
        test = found["test"]
        models.add_row(
            f"{version} {found['configuration']}",
            f"{test['auc']:.3f}",
            f"{test['average_precision']:.3f}",
            f"{test['brier']:.3f}",
            f"{found['training_seconds']:.0f} s",
            str(found["requests"]),
            str(found["failed_attempts"]),
            _number(found["live_auc"], ".3f"),
            _number(found["latency_p50_ms"], ".1f"),
            _number(found["latency_p99_ms"], ".1f"),
        )
    phases = Table(title="Weights, set and observed", box=None, title_justify="left", pad_edge=False)
    for title in ("version", "set", "of keys", "95 % interval", "of requests", "keys", "all replicas followed after"):
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
                f"{phase['seconds_until_all_replicas_followed'] * 1e3:.1f} ms",
            )
    console.print()
    console.print(models)
    console.print()
    console.print(phases)
    for version, found in summary["versions"].items():
        if (features := found["features"])["replies"]:
            console.print(f"\n{_features_line(version, features, summary)}", highlight=False)
    console.print(
        f"\n{summary['requests']} requests, {summary['failed_requests']} failed; "
        f"{summary['keys_moved_back']} keys moved back; champion is version {summary['champion']}, "
        f"version {summary['removed']} is removed; {summary['seconds']:.0f} s in all",
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


def _served(tally: Tally, version: str) -> dict[str, Any]:
    found = tally.versions[version]
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
