"""Checks of a release that is to begin, by the registry and the route table. Nothing is changed here."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from app.errors import InvalidArgumentError
from app.model_spec import ModelSpec
from app.registry import RegistryError, UnknownVersionError, UnservableError, find, read_spec
from app.releases.control.release_store import LiveReleaseError
from app.releases.model.plan import ReleasePlan
from app.releases.model.release import HistoryEntry, Note, Release
from app.releases.model.tags import CHALLENGER_ALIAS, RELEASE_TAG
from app.routing.route_table import RouteTable
from app.serving.serving_entry import serving_settings
from app.settings import ServingSettings


class ReleaseAdmissionError(InvalidArgumentError, ValueError):
    """A release that cannot be begun; the message says why."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A challenger as the registry describes it.

    Attributes:
        side_effects: whether its call does something that must not be done twice.
        inline: whether it is to live in the gateway replicas once it is champion.
        new_inputs: what a request must carry for it, and does not for who answers now.
    """

    version: str
    spec: ModelSpec
    side_effects: bool
    inline: bool = False
    new_inputs: tuple[str, ...] = ()


def candidate(
    client: MlflowClient, model: str, version: str, defaults: ServingSettings, beside: str | None = None
) -> Candidate:
    """Looks a challenger up by number or alias; blocks.

    Args:
        beside: the version that answers now.

    Raises:
        ReleaseAdmissionError: the registry holds no such version, or one that cannot be served.
        RegistryError: the registry is away.
    """
    try:
        number = str(find(client, model, version).version)
        spec, serving = read_spec(model, number), serving_settings(client, model, number, defaults)
        new = _new_inputs(spec, beside)
        return Candidate(number, spec, serving.side_effects, serving.placement == "inline", new)
    except (UnknownVersionError, UnservableError) as error:
        raise ReleaseAdmissionError(f"version {version}: {error}") from error
    except MlflowException as error:
        raise RegistryError(f"version {version} of {model}: {error}") from error


def _new_inputs(spec: ModelSpec, beside: str | None) -> tuple[str, ...]:
    if beside is None:
        return ()
    try:
        other = read_spec(spec.model, beside)
    except UnservableError:  # it answers all the same; nothing can be said of what it takes
        return ()
    sent = {field.name for field in other.inputs} - set(other.features)
    wanted = (field.name for field in spec.inputs if field.required and field.name not in spec.features)
    return tuple(name for name in wanted if name not in sent)


def admit(
    found: Candidate,
    table: RouteTable | None,
    model: str,
    plan: ReleasePlan,
    replicas: int,
    who: str,
    mark: str | None = None,
) -> Release:
    """The release at its beginning. Pure, but for its id and the time.

    Args:
        replicas: running replicas of who has the traffic now.
        mark: tag of the version that gets the release's id, before anything else is told to the registry.

    Raises:
        ReleaseAdmissionError: the plan cannot be honoured for this model and version.
        LiveReleaseError: the model has a release under way.
    """
    weights = table.weights if table is not None else {}
    if table is not None and table.release_context is not None:
        raise LiveReleaseError(f"model {model} has a release under way: {table.release_context.release}")
    carrying = {version: weight for version, weight in weights.items() if weight}
    if len(carrying) > 1:
        shown = ", ".join(f"{version}: {weight:g}" for version, weight in carrying.items())
        raise ReleaseAdmissionError(
            f"the traffic of {model} is split ({shown}); a release begins with one version that has all"
        )
    champion = next(iter(carrying), None)
    if champion == found.version:
        raise ReleaseAdmissionError(f"version {champion} of {model} has all the traffic already")
    if found.new_inputs and champion is not None:
        raise ReleaseAdmissionError(
            f"version {found.version} of {model} needs {', '.join(found.new_inputs)} in the request, which version "
            f"{champion} does not take: its share of the callers would be refused. Accepted is an input that is "
            "optional or looked up in the feature store, or a model of another name"
        )
    _check(plan, found, model)
    now = time.time()
    identity = f"{model}-{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    against = f"against version {champion}" if champion is not None else "the first of its model"
    marks = [] if mark is None else [Note(kind="tag", name=mark, version=found.version, value=identity)]
    notes = (
        *marks,
        Note(kind="tag", name=RELEASE_TAG, version=found.version, value=identity),
        Note(kind="alias", name=CHALLENGER_ALIAS, version=found.version),
    )
    return Release(
        id=identity,
        model=model,
        challenger=found.version,
        champion=champion,
        before=weights,
        replicas=max(1, replicas),
        inline=found.inline,
        plan=plan,
        created=now,
        since=now,
        outbox=tuple(note.model_copy(update={"number": number}) for number, note in enumerate(notes, start=1)),
        notes=len(notes),
        history=(HistoryEntry(at=now, who=who, what=f"{plan.strategy} of version {found.version} begun, {against}"),),
    )


def _check(plan: ReleasePlan, found: Candidate, model: str) -> None:
    if plan.mirror and found.side_effects:
        raise ReleaseAdmissionError(
            f"mirror {plan.mirror:g}: a call of {model} has side effects (its serving entry says side_effects), "
            "and a mirrored request would have them twice"
        )
    outputs = [field.name for field in found.spec.outputs]
    for guard in plan.guards:
        if (output := guard.output_name()) is not None and output not in outputs:
            given = ", ".join(outputs) or "none that its signature names"
            raise ReleaseAdmissionError(
                f"guards.{guard.metric}.output {output!r}: version {found.version} of {model} gives {given}"
            )
