"""The serving entry: how one model, or one version of it, is served where the defaults do not fit.

An entry is a JSON object in the tag ``tidegate.serving``, of the registered model or of a version::

    {"max_replicas": 8, "num_gpus": 1, "node_labels": {"role": "gpu"}}

Its fields are those of ``ServingSettings``. The defaults (``TIDEGATE_SERVING_*``) hold where the model's entry says
nothing, and the model's entry where the version's says nothing. This module alone reads and checks entries: the
deployment of a version, the gateway replicas' inline versions and the admission of a release all ask it.

``schema`` may be given, as in every stored document (``app.stored_document``). An entry of a newer one than
:data:`SCHEMA` may hold fields that this version does not know, which are left as they are and ignored. Otherwise an
unknown field is refused: a person wrote it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

from mlflow import MlflowClient
from pydantic import ValidationError

from app.registry import SERVING_TAG, UnservableError, find, model_tags
from app.settings import ServingSettings

log = logging.getLogger(__name__)

SCHEMA = 1
SCHEMA_FIELD = "schema"


def serving_settings(client: MlflowClient, model: str, version: str, defaults: ServingSettings) -> ServingSettings:
    """The settings by which a version is served: the defaults, the model's entry, the version's entry.

    Args:
        version: number or alias.

    Raises:
        UnknownVersionError: the registry holds no such version.
        UnservableError: an entry names a setting that does not exist, or a value that is not accepted.
        RegistryError: the registry is away.
    """
    of_version = find(client, model, version)
    return merged(
        defaults,
        (
            (model, model_tags(client, model).get(SERVING_TAG)),
            (f"version {of_version.version} of {model}", of_version.tags.get(SERVING_TAG)),
        ),
    )


def merged(defaults: ServingSettings, entries: Iterable[tuple[str, str | None]]) -> ServingSettings:
    """The defaults with entries laid over them, each over those before it. Pure.

    Args:
        entries: for each the words that name its owner, and the tag's text; None where there is no tag.

    Raises:
        UnservableError: as of :func:`serving_settings`.
    """
    settings = defaults
    for owner, text in entries:
        if text is None:
            continue
        try:
            settings = ServingSettings.model_validate({**settings.model_dump(), **_fields(owner, text)})
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc']))} {problem['input']!r}: {problem['msg']}"
                if problem["loc"]
                else problem["msg"]
                for problem in error.errors()
            )
            raise UnservableError(f"serving entry of {owner}: {problems}") from error
    return settings


def _fields(owner: str, text: str) -> dict[str, Any]:
    try:
        entry = json.loads(text)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        raise UnservableError(f"tag {SERVING_TAG} of {owner} must hold a JSON object; it holds {text!r}")
    schema = entry.pop(SCHEMA_FIELD, SCHEMA)
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise UnservableError(
            f"serving entry of {owner}: {SCHEMA_FIELD} {schema!r}: accepted is a whole number from 1"
        )
    known = ServingSettings.model_fields
    unknown = ", ".join(sorted(entry.keys() - known.keys()))
    if unknown and schema <= SCHEMA:
        raise UnservableError(f"serving entry of {owner}: unknown {unknown}; accepted are {', '.join(known)}")
    if unknown:
        log.warning("serving entry of %s, schema %d: %s not known here, ignored", owner, schema, unknown)
    return {name: value for name, value in entry.items() if name in known}
