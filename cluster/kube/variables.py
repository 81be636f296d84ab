"""Validation of a variable for the ConfigMap of the settings."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError
from pydantic_settings import EnvSettingsSource

from app.settings import Settings, variables
from app.stack_environment import PREFIX
from cluster.kube.errors import UsageError

_SECRET = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIALS|ACCESS_KEY)$")
_CREDENTIALS = re.compile(r"//[^/@\s]*:[^/@\s]*@")


def check_variable(name: str, value: str, data: Mapping[str, str]) -> None:
    """Refuses a variable that the processes would refuse when they start, or that is secret.

    Args:
        name: ``TIDEGATE_*`` or ``RAY_*``.
        value: Its text.
        data: All variables of the ConfigMap, this one among them: settings of one group may bound each other.

    Raises:
        UsageError: the name is no setting, the value is not accepted, or it would be a secret in plain sight.
    """
    if name.startswith(PREFIX) and name not in variables():
        close = difflib.get_close_matches(name, variables(), n=1)
        meant = f"; did you mean {close[0]}?" if close else "; tidegate settings lists what there is"
        raise UsageError(f"--set {name}: there is no such setting{meant}")
    if _SECRET.search(name) or (name.startswith(PREFIX) and _is_secret(name)):
        raise UsageError(f"--set {name}: it is secret, and a ConfigMap is not; reference a Secret in the pods' env")
    if _CREDENTIALS.search(value):
        raise UsageError(
            f"--set {name}: the address holds a password, and a ConfigMap is not secret; reference a Secret"
        )
    if name.startswith(PREFIX):
        _check_value(name, value, data)


def _place(name: str) -> tuple[str, str]:
    group, _, field = name.removeprefix(PREFIX).lower().partition("_")
    whole = name.removeprefix(PREFIX).lower()
    return (whole, "") if whole in Settings.model_fields else (group, field)


def _is_secret(name: str) -> bool:
    group, field = _place(name)
    annotation: Any = Settings.model_fields[group].annotation
    if field:
        annotation = annotation.model_fields[field].annotation
    return annotation is SecretStr or SecretStr in get_args(annotation)


def _check_value(name: str, value: str, data: Mapping[str, str]) -> None:
    group, field = _place(name)
    source = EnvSettingsSource(Settings)
    # As the process will read them, but from the ConfigMap and not from the environment of this one.
    source.env_vars = {each.lower(): text for each, text in data.items() if each.startswith(PREFIX)}
    meaning = variables()[name]
    try:
        found = source()
        annotation: Any = Settings.model_fields[group].annotation
        if field and issubclass(annotation, BaseModel):
            annotation.model_validate(found[group])
        else:
            TypeAdapter(annotation).validate_python(found[group])
    except ValidationError as error:
        for problem in error.errors():
            if not problem["loc"] or not field or problem["loc"][0] == field:
                raise UsageError(
                    f"--set {name}={value}: {problem['msg'].removeprefix('Value error, ')} ({meaning})"
                ) from None
    except ValueError as error:  # pydantic-settings could not read it as JSON
        raise UsageError(f"--set {name}={value}: {error} ({meaning})") from None
