"""The findings of the demo, as one JSON object and as tables. Every figure was measured in the run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from app.terminal import table
from jobs.release.sentences import plain
from jobs.run.freshness import COUNTS, STATUSES
from jobs.run.labels import LabelCounts
from jobs.run.record import Record
from jobs.run.tally import Tally
from jobs.run.view import figure

EXPECTED_AUC = {"static": 0.60, "online": 0.78}
"""Least test AUC that the shipped configurations promise; of the broken ones nothing is expected."""
EXPECTED_FRESH = 0.9
"""Least share of feature rows that are fresh; of those of October's first days 97 % are. The others are of aircraft
that were away from New York for three days."""


@dataclass(frozen=True, slots=True)
class TrainedVersion:
    """One submitted training: its configuration's name and the result it printed."""

    name: str
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReleasesUnderTraffic:
    """The outcome of the releases under traffic.

    Attributes:
        records: of the releases, in their order.
        replayed_events, replayed_rows: events that became known meanwhile, and the feature rows that they wrote.
    """

    tally: Tally
    records: list[Record]
    replayed_events: int
    replayed_rows: int
    labels: LabelCounts


def summarize(
    trainings: list[TrainedVersion],
    records: list[Record],
    found: ReleasesUnderTraffic,
    names: Mapping[str, str],
    alias: str | None,
    seconds: float,
) -> dict[str, Any]:
    """Returns the summary as plain values; ``ok``: every promise held, ``broken`` names those that did not.

    Args:
        records: all of the run; those in ``found`` are among them.
        names: version -> what it is.
        alias: the version that holds the alias champion at the end.
    """
    tally = found.tally
    trained = {str(training.result["version"]): training for training in trainings}
    broken = list(_broken(trainings, records, found, alias))
    summary = {
        "ok": not broken,
        "broken": broken,
        "seconds": round(seconds, 1),
        "versions": {
            version: {"configuration": name, **_training(trained.get(version)), **_traffic(tally, version)}
            for version, name in names.items()
        },
        "releases": [_release(record) for record in records],
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
        "keys_moved_back": tally.moved_back,
        "answers_after_fall_over": tally.fell_over,
        "labels": asdict(found.labels),
        "replayed_events": found.replayed_events,
        "rows_written_by_replay": found.replayed_rows,
        "champion": alias,
    }
    return {name: _json_number(value) for name, value in summary.items()}


def _broken(
    trainings: list[TrainedVersion], records: list[Record], found: ReleasesUnderTraffic, alias: str | None
) -> Iterator[str]:
    tally, labels = found.tally, found.labels
    if tally.failures:
        yield f"{len(tally.failures)} requests failed, the first with {tally.failures[0]}"
    if not tally.requests:
        yield "no request was made"
    if tally.moved_back:
        yield f"{tally.moved_back} times a key moved back to the champion without a way back"
    for training in trainings:
        auc, least = training.result["metrics"]["auc"], EXPECTED_AUC.get(training.name, 0.0)
        if auc < least:
            yield f"test AUC of {training.name} is {auc:.3f}, expected at least {least}"
    for record in records:
        yield from record.broken()
    promoted = next((record.version for record in reversed(records) if record.expected == "promoted"), None)
    if promoted is not None:
        yield from _broken_features(tally, promoted)
    for phase in tally.phases:
        if not phase.as_set():
            yield f"the observed shares do not fit the weights {dict(phase.weights)}"
    if labels.dropped or labels.refused:
        yield f"{labels.dropped} labels found no room, {labels.refused} were refused"
    if alias != promoted:
        yield f"the alias champion is at {alias}, not at {promoted}"


def _broken_features(tally: Tally, version: str) -> Iterator[str]:
    found = tally.versions.get(version)
    if found is None or not found.requests:
        return
    features = found.features
    rows = sum(features[status] for status in STATUSES)
    if features["replies"] < found.requests:
        yield f"{found.requests - features['replies']} answers of version {version} did without features"
    if features["degraded"]:
        yield f"the feature store gave no answer for {features['degraded']} requests"
    if rows and features["fresh"] < EXPECTED_FRESH * rows:
        yield f"{features['fresh']} of {rows} feature rows were fresh, expected are {EXPECTED_FRESH:.0%}"


def _release(record: Record) -> dict[str, Any]:
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


def _training(training: TrainedVersion | None) -> dict[str, Any]:
    """Returns the figures that a training printed; null for a version that was made without one."""
    result = training.result if training else {}
    return {
        "test": dict(result["metrics"]) if training else None,
        "training_seconds": result.get("train_seconds"),
        "job_seconds": result.get("seconds"),
    }


def _traffic(tally: Tally, version: str) -> dict[str, Any]:
    found = tally.version(version)
    quality = found.quality()
    return {
        "requests": found.requests,
        "failed_attempts": found.failed_attempts,
        "live_auc": quality.auc,
        "live_brier": quality.brier,
        "latency_p50_ms": found.latency_ms(0.5),
        "latency_p99_ms": found.latency_ms(0.99),
        "features": {name: found.features[name] for name in COUNTS},
    }


def _json_number(value: Any) -> Any:
    """Returns the same with null for NaN, which JSON cannot write."""
    if isinstance(value, dict):
        return {name: _json_number(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_json_number(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def show(screen: Console, summary: Mapping[str, Any]) -> None:
    """Print the summary."""
    for title, shown in (
        ("Versions", _versions_table(summary)),
        ("Weights, set and observed", _phases_table(summary)),
        ("Releases", _releases_table(summary)),
    ):
        screen.print(Text(f"\n{title}", style="italic"), shown, sep="\n")
    for release in summary["releases"]:
        if release["reason"]:
            _line(screen, f"version {release['version']} was {plain(release['end'])}: {release['reason']}")
    for version, found in summary["versions"].items():
        if (features := found["features"])["replies"]:
            _line(screen, f"\n{_features_line(version, features, summary)}")
    _line(
        screen,
        f"\n{summary['requests']} requests, {summary['failed_requests']} failed, "
        f"{summary['answers_after_fall_over']} fell over to another version;\n"
        f"{summary['labels']['posted']} labels posted, as flights landed by the replay's clock; "
        f"{summary['keys_moved_back']} keys moved back;\n"
        f"champion is version {summary['champion']}; {summary['seconds']:.0f} s in all",
    )
    for promise in summary["broken"]:
        _line(screen, f"broken promise: {promise}", "red")


def _line(screen: Console, text: str, style: str = "") -> None:
    screen.print(Text(text, style=style), soft_wrap=True)


def _versions_table(summary: Mapping[str, Any]) -> Any:
    titles = ("test AUC", "avg prec", "Brier", "trained", "requests", "not answered")
    live = ("live AUC", "live Brier", "p50 ms", "p99 ms")
    shown = table("version", *titles, *live, right=(*titles, *live))
    for version, found in summary["versions"].items():
        test = found["test"] or {}
        shown.add_row(
            f"{version} {found['configuration']}",
            *(figure(test.get(name), ".3f") for name in ("auc", "average_precision", "brier")),
            _seconds(found["training_seconds"], ".0f"),
            str(found["requests"]),
            str(found["failed_attempts"]),
            *(figure(found[name], ".3f") for name in ("live_auc", "live_brier")),
            *(figure(found[name], ".1f") for name in ("latency_p50_ms", "latency_p99_ms")),
        )
    return shown


def _phases_table(summary: Mapping[str, Any]) -> Any:
    titles = ("set", "of keys", "95 % interval", "of requests", "keys", "all follow after")
    shown = table("version", *titles, right=titles)
    for phase in summary["phases"]:
        for version, share in phase["shares"].items():
            low, high = share["interval_95"]
            shown.add_row(
                version,
                f"{share['set']:.0%}",
                figure(share["observed_keys"], ".1%"),
                f"{low:.1%} to {high:.1%}",
                figure(share["observed_requests"], ".1%"),
                str(phase["keys"]),
                _seconds(phase["seconds_from_decision_until_all_replicas_followed"]),
            )
    return shown


def _releases_table(summary: Mapping[str, Any]) -> Any:
    titles = ("first weight to decision", "then followed by all after", "answered", "fell over", "failed")
    shown = table("version", "strategy", "ended", *titles, right=titles)
    for release in summary["releases"]:
        shown.add_row(
            f"{release['version']} {release['name']}",
            release["strategy"].replace("_", "-"),
            plain(release["end"]),
            _seconds(release["seconds_to_decision"]),
            _seconds(release["seconds_to_followed"]),
            *(str(release[name]) for name in ("answered", "fell_over", "failed_requests")),
        )
    return shown


def _features_line(version: str, features: Mapping[str, int], summary: Mapping[str, Any]) -> str:
    rows = sum(features[status] for status in STATUSES)
    shares = ", ".join(f"{features[status] / rows:.1%} {status}" for status in STATUSES) if rows else "none answered"
    return (
        f"Features of version {version}: {rows:,} rows read online, {shares};\n"
        f"{features['degraded']} requests without an answer of the store; "
        f"{summary['replayed_events']:,} events replayed into {summary['rows_written_by_replay']:,} rows"
    )


def _seconds(value: float | None, form: str = ".1f") -> str:
    return "" if value is None else f"{value:{form}} s"
