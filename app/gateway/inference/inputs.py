"""The fit of a request to a version: names, types, shapes, limits. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidArgumentError, TooLargeError
from app.model_spec import FieldSpec, ModelSpec

Arrays = Mapping[str, NDArray[Any]]


def fit(spec: ModelSpec, inputs: Arrays, known: Collection[str] | None, max_rows: int) -> dict[str, NDArray[Any]]:
    """The inputs that ``spec`` takes, in its types.

    Args:
        inputs: arrays by input name; text as dtype object, of ``str`` alone or of ``bytes`` alone.
        known: input names that some deployed version of the model takes: one that this version does not take is
            left out, one that none takes is refused. None while that is not known: then none is refused.
        max_rows: most rows (first dimension) accepted.

    Raises:
        InvalidArgumentError: an input is unknown, missing, of a wrong type or shape.
        TooLargeError: too many rows.
    """
    where = f"model {spec.model} version {spec.version}"
    unknown = [name for name in inputs if name not in known] if known is not None else []
    if unknown:
        accepted = ", ".join(field.name for field in spec.inputs)
        raise InvalidArgumentError(f"{where} has no input {', '.join(map(repr, unknown))}; it takes {accepted}")
    missing = [field.name for field in spec.inputs if field.required and field.name not in inputs]
    if missing and spec.feature_views:
        missing = [name for name in missing if name not in spec.features]  # those are looked up
    if missing:
        raise InvalidArgumentError(f"{where} needs the input{'s' * (len(missing) > 1)} {', '.join(missing)}")
    found = {
        field.name: _shaped(field, _typed(field, inputs[field.name]), spec.columns)
        for field in spec.inputs
        if field.name in inputs
    }
    rows = {name: len(array) for name, array in found.items() if array.ndim}
    if spec.columns and len(set(rows.values())) > 1:
        shown = ", ".join(f"{name}: {count}" for name, count in rows.items())
        raise InvalidArgumentError(f"columns of {where} must have the same number of rows; got {shown}")
    if rows and max(rows.values()) > max_rows:
        raise TooLargeError(f"a request may carry {max_rows} rows; this one has {max(rows.values())}")
    return found


def fit_parameters(spec: ModelSpec, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters, if the model takes them.

    Raises:
        InvalidArgumentError: a parameter is unknown or of a wrong type.
    """
    if not given:
        return given
    taken = {parameter.name: parameter for parameter in spec.parameters}
    for name, value in given.items():
        parameter = taken.get(name)
        where = f"model {spec.model} version {spec.version}"
        if parameter is None:
            raise InvalidArgumentError(f"{where} takes no parameter {name!r}; it takes {', '.join(taken) or 'none'}")
        values = value if parameter.many else [value]
        if not isinstance(values, list) or not all(_is_of(parameter.dtype, element) for element in values):
            wanted = f"a list of {parameter.dtype}" if parameter.many else parameter.dtype
            raise InvalidArgumentError(f"{where}: parameter {name} takes {wanted}; got {value!r}")
    return given


def bytes_of(arrays: Arrays) -> int:
    """Returns the size of the values in bytes; text counts by its characters."""
    return sum([array.nbytes if array.dtype.kind != "O" else sum(map(len, array.flat)) for array in arrays.values()])


def _is_of(dtype: str, value: object) -> bool:
    if dtype == "str":
        return isinstance(value, str)
    if dtype == "bool":
        return isinstance(value, bool)
    accepted = (int, float) if dtype.startswith("float") else int
    return isinstance(value, accepted) and not isinstance(value, bool)


def _typed(field: FieldSpec, array: NDArray[Any]) -> NDArray[Any]:
    text = array.dtype.kind == "O"
    if field.dtype in ("str", "bytes"):
        if not text:
            raise InvalidArgumentError(f"input {field.name} takes text (BYTES); got {array.dtype}")
        return _text(field, array)
    wanted = np.dtype(field.dtype)
    if text or not _convertible(array, wanted):
        got = "text (BYTES)" if text else str(array.dtype)
        raise InvalidArgumentError(f"input {field.name} takes {wanted}; got {got}")
    try:
        with np.errstate(over="raise"):
            return array.astype(wanted, copy=False)
    except FloatingPointError:
        raise InvalidArgumentError(f"input {field.name} takes {wanted}; a value is out of its range") from None


def _text(field: FieldSpec, array: NDArray[Any]) -> NDArray[Any]:
    """All elements are ``str``, or all are ``bytes``: the front cannot know which of them the field takes."""
    if not array.size or isinstance(array.flat[0], bytes) == (field.dtype == "bytes"):
        return array
    if field.dtype == "str":
        raise InvalidArgumentError(f"input {field.name} takes text; the bytes that came are not UTF-8")
    encoded = np.empty(array.shape, dtype=object)
    encoded.flat[:] = [value.encode() for value in array.flat]
    return encoded


def _convertible(array: NDArray[Any], wanted: np.dtype[Any]) -> bool:
    """True where no value changes its meaning: wider types, integers as floats, floats as narrower floats, and
    narrower integers if the values fit."""
    have, want = array.dtype.kind, wanted.kind
    if have == "b" or want == "b":
        return have == want
    if want == "f":
        return True
    if have == "f":
        return False
    limits = np.iinfo(wanted)
    return not array.size or (int(array.min()) >= limits.min and int(array.max()) <= limits.max)


def _shaped(field: FieldSpec, array: NDArray[Any], column: bool) -> NDArray[Any]:
    if column:
        if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1):
            return array.reshape(-1)
        raise InvalidArgumentError(
            f"column {field.name} takes the shape [rows] or [rows, 1]; got {list(array.shape)}"
        )
    fits = array.ndim == len(field.shape) and all(
        want in (-1, got) for want, got in zip(field.shape, array.shape, strict=True)
    )
    if not fits:
        raise InvalidArgumentError(f"input {field.name} takes the shape {list(field.shape)}; got {list(array.shape)}")
    return array
