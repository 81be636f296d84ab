"""The specification of a version's inputs and outputs, which registry, replicas and gateway share.

Apart from the registry, because a gateway replica has use for the words but not for MLflow's 40 MB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHAMPION = "champion"
"""Alias of the version that answers."""
CHALLENGER = "challenger"
"""Alias of the version that a release tries."""


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One input or output of a model.

    Attributes:
        name: column or tensor name.
        dtype: numpy's name of the element type; ``str`` for text, ``bytes`` for binary.
        shape: dimensions, -1 for one that varies; a column is ``(-1,)``.
        required: true where a request must carry it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = (-1,)
    required: bool = True


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """A parameter that a model takes beside its inputs.

    Attributes:
        dtype: numpy's name of its type; ``str`` for text.
        many: true for a list of such values.
    """

    name: str
    dtype: str
    many: bool


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Inputs and outputs of a version, as its signature says.

    Attributes:
        columns: true where the model takes a table (one column per input), false for tensors as they are.
        features: inputs that are features, not part of the plain request.
        parameters: what it takes beside its inputs; all have defaults.
        feature_views: declarations of the views that make them, as plain values.
    """

    model: str
    version: str
    inputs: tuple[FieldSpec, ...]
    outputs: tuple[FieldSpec, ...]
    columns: bool
    features: tuple[str, ...] = ()
    parameters: tuple[ParameterSpec, ...] = ()
    feature_views: tuple[Mapping[str, Any], ...] = ()
