"""The settings: one frozen tree, read from ``TIDEGATE_*`` variables.

``TIDEGATE_<GROUP>_<FIELD>`` sets ``settings.<group>.<field>``. A running local stack leaves the addresses and
secrets of its parts in ``<state_dir>/stack.env``, which is read too and loses against the environment, so that
a command typed beside the stack finds it. ``tidegate settings`` prints the values in force.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeGuard

from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from app.errors import InvalidArgumentError
from app.stack_environment import PREFIX, stack_file

_CREDENTIALS = re.compile(r"//[^/@\s]*@")

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Scopes = Annotated[
    tuple[Literal["predict", "release"], ...],
    NoDecode,
    BeforeValidator(
        lambda value: [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    ),
]


def _labels(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    pairs = [part.strip() for part in value.split(",") if part.strip()]
    if not all("=" in pair for pair in pairs):
        raise ValueError("name=value is accepted, more of them with commas between")
    return {name.strip(): chosen.strip() for name, _, chosen in (pair.partition("=") for pair in pairs)}


NodeLabels = Annotated[
    dict[
        Annotated[
            str, Field(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?$")
        ],
        Annotated[str, Field(pattern=r"^!?[a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?$", max_length=64)],
    ],
    NoDecode,
    BeforeValidator(_labels),
]
"""Labels that a Ray node must have, as in ``role=serving``; ``role=!training`` is every node but those."""


class SettingsError(InvalidArgumentError, ValueError):
    """A variable holds a value that cannot be used; the message names variable, value and what is accepted."""


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Scaled(_Group):
    min_replicas: int
    max_replicas: int

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas {self.min_replicas} is more than max_replicas {self.max_replicas}")
        return self


class RedisSettings(_Group):
    """Redis or Valkey: route tables, keys, online features, event streams."""

    url: str = Field("redis://127.0.0.1:6379/0", description="Address, redis:// or rediss://, without password")
    password: SecretStr | None = Field(None, description="Password of the server")
    timeout_s: Seconds = Field(2.0, description="Deadline of one command, seconds")


class MlflowSettings(_Group):
    """The model registry."""

    tracking_uri: str = Field("http://127.0.0.1:5000", description="Address of MLflow's tracking server")
    experiment: str = Field("tidegate", description="Experiment that training runs are logged to")


class RaySettings(_Group):
    """The Ray cluster."""

    address: str = Field("auto", description="Address of the head (host:port of the GCS), or auto")
    dashboard_url: str = Field("http://127.0.0.1:8265", description="Address of the dashboard and its Jobs API")
    namespace: str = Field("tidegate", description="Ray namespace of named actors")


class GatewaySettings(_Scaled):
    """The gateway, the only public entrance."""

    url: str = Field("http://127.0.0.1:8000", description="Address at which clients reach the gateway")
    grpc_url: str = Field("127.0.0.1:8081", description="Address at which gRPC clients reach it, host:port")
    app_name: str = Field("gateway", description="Name of its Serve application")
    min_replicas: Count = Field(2, description="Replicas that always run")
    max_replicas: Count = Field(4, description="Replicas under load")
    target_ongoing_requests: Count = Field(32, description="Requests in flight per replica that autoscaling aims at")
    max_ongoing_requests: Count = Field(256, description="Requests in flight that one replica accepts")
    max_queued_requests: Count = Field(512, description="Requests that may wait for a replica before 503")
    num_cpus: Annotated[float, Field(ge=0)] = Field(0.1, description="CPUs reserved per replica")
    max_body_bytes: Count = Field(8 * 1024 * 1024, description="Largest accepted request body, bytes")
    max_rows: Count = Field(4096, description="Most rows (first dimension) accepted in one request")
    anonymous: Scopes = Field(
        (), description="Scopes that need no key, with commas between: predict, release; the local stack sets predict"
    )
    admin_key: SecretStr | None = Field(
        None, description="Key with the scope admin, for commands that call the gateway"
    )
    admin_key_hash: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="SHA-256 of the admin key, hex: all that the gateway itself keeps"
    )


class RoutingSettings(_Group):
    """The way of a request to a version, and to another when that one does not answer."""

    deadline_s: Seconds = Field(
        5.0, description="Time a request may spend on versions, all attempts together, seconds"
    )
    attempt_timeout_s: Seconds = Field(
        2.0, description="Time one attempt may take before the next version is asked, seconds"
    )
    max_attempts: Count = Field(3, description="Attempts per request, the first included")
    retry_ratio: Share = Field(0.2, description="Retries allowed per request over time (retry budget)")
    retry_reserve: Count = Field(
        256,
        description="Retries always in reserve (size of the retry budget's bucket): what one lost call may hold",
    )
    breaker_failures: Count = Field(5, description="Failures in a row after which a version's breaker opens")
    breaker_open_s: Seconds = Field(
        5.0, description="Time an open breaker waits before it lets one probe through, seconds"
    )
    refresh_s: Seconds = Field(
        1.0, description="Interval at which every gateway replica re-reads route tables, seconds"
    )


class ServingSettings(_Scaled):
    """Defaults of how a version is served; the serving entry of its model, or of the version, wins."""

    placement: Literal["dedicated", "inline"] = Field(
        "dedicated",
        description="Where the champion lives: replicas of its own, or (light CPU models) the gateway's replicas",
    )
    batch_rows: Count = Field(
        1024, description="Most rows of different requests that one call carries; 1 never mixes requests"
    )
    cache_ttl_s: Annotated[float, Field(ge=0)] = Field(
        0.0, description="Time an answer may be given again for the same inputs, seconds; 0 turns the cache off"
    )

    side_effects: bool = Field(
        False, description="Whether a call does something that must not be done twice: such a model is not mirrored"
    )

    min_replicas: Annotated[int, Field(ge=0)] = Field(1, description="Replicas that always run")
    max_replicas: Count = Field(2, description="Replicas under load")
    target_ongoing_requests: Annotated[float, Field(gt=0)] = Field(
        8, description="Requests in flight per replica that autoscaling aims at"
    )
    max_ongoing_requests: Count = Field(64, description="Requests in flight that one replica accepts")
    max_queued_requests: Count = Field(256, description="Requests per gateway replica that may wait for a version")
    num_cpus: Annotated[float, Field(ge=0)] = Field(0.1, description="CPUs reserved per replica")
    num_gpus: Annotated[float, Field(ge=0)] = Field(0, description="GPUs reserved per replica")
    max_replicas_per_node: Annotated[int, Field(ge=0)] = Field(
        0, description="Most replicas of a version on one node, so that a lost one does not take all; 0: any number"
    )
    node_labels: NodeLabels = Field(
        default_factory=dict,
        description="Labels of the Ray nodes that all replicas run on, the gateway's too: name=value,...",
    )
    upscale_delay_s: Annotated[float, Field(ge=0)] = Field(
        5.0, description="Load must last this long before scaling out, seconds"
    )
    downscale_delay_s: Annotated[float, Field(ge=0)] = Field(
        60.0, description="Calm must last this long before scaling in, seconds"
    )
    stuck_after_s: Seconds = Field(
        60.0, description="Time one call into the model may take before its replica is replaced, seconds"
    )
    deploy_timeout_s: Seconds = Field(180.0, description="Time a new version has to become healthy, seconds")
    drain_timeout_s: Seconds = Field(
        30.0, description="Time requests in flight have before a version is deleted, seconds"
    )


class CacheSettings(_Group):
    """The prediction cache, for models that opt in by ``cache_ttl_s`` in their serving entry."""

    max_bytes: Count = Field(
        32 * 1024 * 1024, description="Memory of the answers that a gateway replica keeps, bytes"
    )
    max_entries: Count = Field(16_384, description="Number of the answers in a gateway replica")
    max_entry_bytes: Count = Field(64 * 1024, description="Largest answer that is kept, bytes")
    max_queued_bytes: Count = Field(
        8 * 1024 * 1024, description="Answers of one gateway replica that wait to be written to Redis, bytes"
    )
    redis_timeout_s: Seconds = Field(0.05, description="Longest that a request waits for the cache in Redis, seconds")


class EventSettings(_Group):
    """The event log: one record per prediction and one per label, in Redis streams."""

    url: str | None = Field(
        None, description="Address of the Redis that holds the streams, where it is another than TIDEGATE_REDIS_URL"
    )
    password: SecretStr | None = Field(None, description="Password of that server, where it is another one")
    maxlen: Count = Field(
        250_000,
        description="Records that a model's stream keeps (about 0.3 KB each); older ones go, read or not: "
        "predictions per second times the longest outage of a consumer to be survived, seconds",
    )
    buffer: Count = Field(
        10_000, description="Records that a gateway replica holds while they cannot be sent; then the oldest go"
    )
    batch: Count = Field(64, description="Records sent together")
    flush_s: Seconds = Field(0.05, description="Time a record waits for others before it is sent, seconds")


class SampleSettings(_Group):
    """Measurements of a release's requests, on their way to the judge."""

    held_ticks: Annotated[int, Field(ge=60)] = Field(
        600, description="Seconds of samples that a process holds while Redis is away; then the oldest go"
    )
    max_fields: Count = Field(
        50_000,
        description="Entries of one release in Redis (about 0.3 KB each), one a second of every gateway replica: "
        "how long they may stay unread before no more are written",
    )
    ttl_s: Annotated[int, Field(ge=1)] = Field(
        86_400, description="Time after which a release's samples go from Redis, seconds since the last ones"
    )


class MirrorSettings(_Group):
    """Mirrored requests of a release: answered by the challenger too, unseen by callers."""

    concurrency: Count = Field(8, description="Mirrored requests under way at once, per gateway replica")
    queue: Count = Field(256, description="Mirrored requests that may wait, per gateway replica; more are not made")
    queued_bytes: Count = Field(
        32 * 1024 * 1024, description="Inputs and outputs that those hold, per gateway replica, bytes"
    )


class LabelSettings(_Group):
    """Labels by ``POST /feedback``, and their join with the predictions of a release that is judged by them."""

    max_batch: Count = Field(1000, description="Most labels accepted in one request")
    tolerance_s: Seconds = Field(
        10.0, description="Farthest that a prediction may be from the time in a label of its entity, seconds"
    )
    ttl_s: Seconds = Field(86_400.0, description="Time after a prediction within which its label counts, seconds")
    max_predictions: Count = Field(
        250_000,
        description="Predictions of a release that wait for labels (about 0.4 KB of Redis each); further ones are "
        "left out: predictions per second times the delay of the labels, seconds",
    )
    wait_s: Seconds = Field(
        300.0, description="Time a label that is before its prediction waits for it, seconds; then it counts for none"
    )
    max_waiting: Count = Field(10_000, description="Labels of a release that wait so; then the oldest go")
    claim_after_s: Seconds = Field(
        30.0, description="Time after which records that a lost process left half done are taken over, seconds"
    )


class ReleaseSettings(_Group):
    """Releases that an alias or a tag in the registry begins."""

    registry_poll_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        10.0, description="Interval of the looks for what the registry asks to be released, seconds; 0 makes none"
    )
    webhook_secret: SecretStr | None = Field(
        None, description="Secret of MLflow's webhook, by whose signature it needs no key"
    )


class TrainingSettings(_Group):
    """Nodes and storage of training runs."""

    node_labels: NodeLabels = Field(
        default_factory=dict, description="Labels of the Ray nodes that training workers run on: name=value,..."
    )
    storage: str = Field(".tidegate/runs", description="Folder or fsspec address that all nodes reach")
    max_failures: Annotated[int, Field(ge=0)] = Field(3, description="Worker losses a run survives")
    placement_timeout_s: Seconds = Field(
        600.0, description="Time a run waits for room for its workers before it fails, seconds"
    )
    stop_timeout_s: Seconds = Field(
        60.0, description="Time the workers have for a checkpoint when a run is stopped, seconds"
    )


class FeaturesSettings(_Group):
    """Online features: rows in Redis, their events in Parquet."""

    storage: str = Field(".tidegate/features", description="Folder or fsspec address of events that all nodes reach")
    read_timeout_s: Seconds = Field(0.25, description="Deadline of a request's look-up, seconds")
    write_timeout_s: Seconds = Field(5.0, description="Deadline of each batch that is written, seconds")
    tracked_rows: Annotated[int, Field(ge=0)] = Field(
        0, description="Rows that a gateway replica keeps, told by Redis of every write; 0 asks Redis each time"
    )
    tracked_stale_s: Seconds = Field(
        1.0, description="Time for which a kept row may be behind at worst, on a connection that is dead, seconds"
    )
    clock_lease_s: Seconds = Field(
        600.0, description="Time a replay's clock holds in Redis without being renewed, seconds"
    )


class Settings(BaseSettings):
    """All settings. Frozen: a process sees one set of values for its life."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="_", env_nested_max_split=1, frozen=True, extra="ignore"
    )

    state_dir: Path = Field(Path(".tidegate"), description="Folder of the local stack's state")
    redis: RedisSettings = Field(default_factory=RedisSettings)
    mlflow: MlflowSettings = Field(default_factory=MlflowSettings)
    ray: RaySettings = Field(default_factory=RaySettings)
    gateway: GatewaySettings = Field(default_factory=GatewaySettings)
    routing: RoutingSettings = Field(default_factory=RoutingSettings)
    serving: ServingSettings = Field(default_factory=ServingSettings)
    cache: CacheSettings = Field(default_factory=CacheSettings)
    events: EventSettings = Field(default_factory=EventSettings)
    samples: SampleSettings = Field(default_factory=SampleSettings)
    mirror: MirrorSettings = Field(default_factory=MirrorSettings)
    labels: LabelSettings = Field(default_factory=LabelSettings)
    releases: ReleaseSettings = Field(default_factory=ReleaseSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    features: FeaturesSettings = Field(default_factory=FeaturesSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (
            init_settings,
            EnvSettingsSource(settings_cls),
            DotEnvSettingsSource(settings_cls, env_file=stack_file()),
        )

    @classmethod
    def load(cls) -> Settings:
        """Reads the environment and the local stack's file.

        Raises:
            SettingsError: a variable's value is refused; every one that is gets a line.
        """
        groups = {
            f"{PREFIX}{name}".upper() for name, field in cls.model_fields.items() if _is_group(field.annotation)
        }
        for name in sorted(groups & {name.upper() for name in os.environ}):
            known = ", ".join(variable for variable in variables() if variable.startswith(f"{name}_"))
            raise SettingsError(f"{name} is a group of settings; set {known}")
        for name in unknown_variables(os.environ):
            print(f"tidegate: unknown variable {name} is ignored{_did_you_mean(name)}", file=sys.stderr)
        try:
            return cls()
        except ValidationError as error:
            raise SettingsError(_explain(error)) from None


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once. Entry points call it and hand the parts on."""
    return Settings.load()


class SettingInForce(NamedTuple):
    """One setting in force."""

    name: str
    value: Any
    source: str
    description: str


def variables() -> dict[str, str]:
    """Every known variable with its description."""
    return {name: description for name, _, description in _leaves(Settings)}


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Names in ``environ`` that start with the prefix and set nothing."""
    known = variables().keys()
    return sorted(name for name in environ if name.upper().startswith(PREFIX) and name.upper() not in known)


def rows(settings: Settings) -> Iterator[SettingInForce]:
    """Each setting with value (secrets masked) and source, in the tree's order."""
    from_stack = dotenv_values(stack_file()) if stack_file().is_file() else {}
    environ = {name.upper() for name in os.environ}
    for name, path, description in _leaves(Settings):
        value: Any = settings
        for part in path:
            value = getattr(value, part)
        source = "environment" if name in environ else str(stack_file()) if name in from_stack else "default"
        yield SettingInForce(name, _shown(value), source, description)


def _leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[str, ...], str]]:
    for field_name, field in model.model_fields.items():
        here = (*path, field_name)
        annotation = field.annotation
        if _is_group(annotation):
            yield from _leaves(annotation, here)
        else:
            yield PREFIX + "_".join(here).upper(), here, field.description or ""


def _is_group(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr | Path):
        return str(value)
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, dict):
        return ",".join(f"{name}={chosen}" for name, chosen in value.items())
    return _CREDENTIALS.sub("//**********@", value) if isinstance(value, str) else value


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        name = (
            PREFIX + "_".join(part for part in problem["loc"] if isinstance(part, str)).upper()
        )  # not a list's index
        if name not in variables():  # of a whole group; its values may be secret
            lines.append(f"{name}_*: {problem['msg']}")
            continue
        shown = (
            "(not shown)" if any(word in name for word in ("PASSWORD", "KEY", "SECRET")) else repr(problem["input"])
        )
        lines.append(f"{name}={shown}: {problem['msg']} ({variables()[name]})")
    return "\n".join(lines)


def _did_you_mean(name: str) -> str:
    close = difflib.get_close_matches(name.upper(), variables(), n=1)
    return f"; did you mean {close[0]}?" if close else "; tidegate settings lists what there is"
