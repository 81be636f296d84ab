"""Rows and columns in JSON to named arrays and back, for protocols whose bodies name no types. Pure.

JSON has four kinds of value; the arrays get numpy's type of the kind (bool, int64, float64, object for text), and
``inputs.fit`` converts them to what the answering version takes. The specification is asked only where JSON has no
notation: which position is which column, and what is binary. A ``null`` is a missing floating-point value.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidArgumentError
from app.gateway.protocols.v2.datatypes import MAX_DIMENSIONS
from app.model_spec import FieldSpec, ModelSpec

Arrays = dict[str, NDArray[Any]]

BASE64_KEY = "b64"
"""``{"b64": "…"}`` is a binary value (TensorFlow Serving's notation, which KServe's V1 took over)."""

_NUMBERS = {int, float, type(None)}


def from_table(spec: ModelSpec, columns: Sequence[str | int] | None, rows: Sequence[Any]) -> Arrays:
    """Arrays of a table. A model of one tensor takes the table as that tensor, unless a column has its name.

    Args:
        columns: names; None, or pandas' 0, 1, 2 …, where the position decides.
        rows: one list of cells per row; the text in a binary column is base64, as MLflow has it.

    Raises:
        InvalidArgumentError: rows of unequal length, more or fewer cells than columns, a column twice, no rows.
    """
    width = len(columns) if columns is not None else len(rows[0]) if rows and isinstance(rows[0], list) else 0
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != width:
            got = f"{len(row)} cells" if isinstance(row, list) else repr(row)
            raise InvalidArgumentError(f"row {number} is {got}; accepted is a list of {width} cells")
    if not rows:
        raise InvalidArgumentError("there are no rows; send at least one")
    if columns is not None and list(columns) == list(range(width)):
        columns = None
    tensor = _only_tensor(spec)
    if tensor is not None and tensor.name not in (columns or ()):
        return {tensor.name: _array(f"input {tensor.name!r}", tensor, rows)}
    if columns is None:
        columns = _positions(spec, width)
    names = [str(column) for column in columns]
    if len(set(names)) < len(names):
        raise InvalidArgumentError(
            f"the columns {', '.join(names)} name one twice; every column has a name of its own"
        )
    return _columns(spec, {name: [row[i] for row in rows] for i, name in enumerate(names)}, base64_text=True)


def from_records(spec: ModelSpec, rows: Sequence[Any], base64_text: bool = False) -> Arrays:
    """Arrays of rows that are objects; what a row lacks is null. As to one tensor, see ``from_table``.

    Args:
        base64_text: whether the text in a binary column is base64; else it stands for its UTF-8 bytes.

    Raises:
        InvalidArgumentError: a row is no object, or no rows.
    """
    if not rows:
        raise InvalidArgumentError("there are no rows; send at least one")
    names: dict[str, None] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InvalidArgumentError(
                f"row {number} is {row!r}; accepted is an object {{column: value}}, as the other rows are"
            )
        names.update(dict.fromkeys(row))
    tensor = _only_tensor(spec)
    if tensor is not None and tensor.name not in names:
        table = [[row.get(name) for name in names] for row in rows]
        return {tensor.name: _array(f"input {tensor.name!r}", tensor, table, base64_text)}
    return _columns(spec, {name: [row.get(name) for row in rows] for name in names}, base64_text)


def from_instances(spec: ModelSpec, items: Sequence[Any]) -> Arrays:
    """Arrays of a list of rows: objects, lists of cells by position, or values of a model's only input.

    Raises:
        InvalidArgumentError: they are none of these.
    """
    if items and isinstance(items[0], dict) and not _is_base64(items[0]):
        return from_records(spec, items)
    if len(spec.inputs) == 1:
        only = spec.inputs[0]
        return {only.name: _array(f"input {only.name!r}", only, items)}
    if not spec.columns:
        raise InvalidArgumentError(
            f"model {spec.model} takes several tensors; accepted are objects with {_names(spec)}"
        )
    return from_table(spec, None, items)


def from_inputs(spec: ModelSpec, value: Any) -> Arrays:
    """Arrays of an object that has a list of values (for columns also one value) per input, or of instances.

    Raises:
        InvalidArgumentError: it is neither.
    """
    if not isinstance(value, dict) or _is_base64(value):
        return from_instances(spec, value if isinstance(value, list) else [value])
    if spec.columns:
        value = {name: held if isinstance(held, list) else [held] for name, held in value.items()}
    return _columns(spec, value)


def nested(array: NDArray[Any], binary: Callable[[bytes], Any]) -> Any:
    """Nested lists; NaN and infinities, which JSON cannot write, become null, and bytes what ``binary`` makes."""
    if array.dtype.kind == "f":
        finite = np.isfinite(array)
        if finite.all():
            return array.tolist()
        written = array.astype(np.object_)
        written[~finite] = None
        return written.tolist()
    if array.dtype.kind != "O":
        return array.tolist()
    written = np.empty_like(array)
    written.flat[:] = [binary(value) if isinstance(value, bytes) else value for value in array.flat]
    return written.tolist()


def records(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """One object per row of columns of equal length."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _positions(spec: ModelSpec, width: int) -> list[str]:
    """All inputs, or those that are not looked up."""
    every = [field.name for field in spec.inputs]
    plain = [name for name in every if not spec.feature_views or name not in spec.features]
    for names in (every, plain):
        if len(names) == width:
            return names
    wanted = [plain] if plain == every else [plain, every]
    accepted = " or ".join(f"{len(names)}, for {', '.join(names)}" for names in wanted)
    raise InvalidArgumentError(f"rows without column names have {width} cells; accepted are {accepted}")


def _only_tensor(spec: ModelSpec) -> FieldSpec | None:
    return spec.inputs[0] if len(spec.inputs) == 1 and not spec.columns else None


def _names(spec: ModelSpec) -> str:
    return ", ".join(field.name for field in spec.inputs)


def _columns(spec: ModelSpec, columns: Mapping[str, Any], base64_text: bool = False) -> Arrays:
    fields = {field.name: field for field in spec.inputs}
    return {name: _array(f"input {name!r}", fields.get(name), held, base64_text) for name, held in columns.items()}


def _array(where: str, field: FieldSpec | None, values: Any, base64_text: bool = False) -> NDArray[Any]:
    """An array of nested lists.

    Raises:
        InvalidArgumentError: ragged lists, or values of different kinds.
    """
    flat, shape = _flattened(where, values)
    kinds = set(map(type, flat))
    if dict in kinds or (base64_text and field is not None and field.dtype == "bytes" and kinds == {str}):
        flat = [_from_base64(where, value) if isinstance(value, dict | str) else value for value in flat]
        kinds = set(map(type, flat))
    if not flat:
        text = field is not None and field.dtype in ("str", "bytes")
        return np.empty(shape, dtype=np.object_ if text or field is None else field.dtype)
    if kinds == {bool}:
        return np.array(flat, np.bool_).reshape(shape)
    if kinds in ({str}, {bytes}):
        array = np.empty(len(flat), dtype=np.object_)
        array[:] = flat
        return array.reshape(shape)
    if not kinds <= _NUMBERS:
        found = ", ".join(sorted("null" if kind is type(None) else kind.__name__ for kind in kinds))
        raise InvalidArgumentError(
            f"{where} has values of the kinds {found}; accepted are numbers and null, or one kind alone"
        )
    integers = kinds == {int} or (field is not None and "int" in field.dtype and all(map(_is_integer, flat)))
    try:
        return (_integers([int(value) for value in flat]) if integers else np.array(flat, np.float64)).reshape(shape)
    except OverflowError:
        raise InvalidArgumentError(
            f"{where} has an integer of more than 64 bits that is no floating-point value either"
        ) from None


def _is_integer(value: float | None) -> bool:
    """True where a number of JSON is an integer: JSON makes no difference between 1 and 1.0."""
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _flattened(where: str, values: Any) -> tuple[list[Any], list[int]]:
    flat, shape = [values], list[int]()
    while flat and isinstance(flat[0], list):
        width = len(flat[0])
        if any(not isinstance(held, list) or len(held) != width for held in flat):
            raise InvalidArgumentError(
                f"{where} has lists of different lengths or depths; accepted are lists of one shape"
            )
        shape.append(width)
        if len(shape) > MAX_DIMENSIONS:
            raise InvalidArgumentError(f"{where} has lists {len(shape)} deep; accepted are up to {MAX_DIMENSIONS}")
        flat = list(chain.from_iterable(flat))
    if list in set(map(type, flat)):
        raise InvalidArgumentError(
            f"{where} has lists of different lengths or depths; accepted are lists of one shape"
        )
    return flat, shape


def _integers(values: list[int]) -> NDArray[Any]:
    for dtype in (np.int64, np.uint64):
        try:
            return np.array(values, dtype)
        except OverflowError:
            continue
    return np.array(values, np.float64)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == [BASE64_KEY]


def _from_base64(where: str, value: dict[str, Any] | str) -> bytes:
    text = value.get(BASE64_KEY) if isinstance(value, dict) else value
    if not isinstance(text, str) or (isinstance(value, dict) and not _is_base64(value)):
        raise InvalidArgumentError(
            f'{where} has the object {value!r} for a value; the one accepted is {{"{BASE64_KEY}": "…"}}'
        )
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidArgumentError(f"{where}: {text[:40]!r} is not base64: {error}") from error
