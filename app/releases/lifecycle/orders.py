"""Orders that a release takes from people and programs. Pure.

An order is one frozen dataclass: its fields are the options of the command line and the query of the HTTP route, its
``apply`` is what the state machine does. ``ORDERS`` is the one list of them: routes, OpenAPI document, client and
command line are made from it.

An option is an absolute value (a step's number, an instant), never a difference: an order that is given twice, after
a reply that was lost, then does what it does given once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, ClassVar

from pydantic import Field, TypeAdapter, ValidationError

from app.errors import FailedPreconditionError, InvalidArgumentError
from app.releases.lifecycle.phases import begin_phase, begin_restoring, with_history
from app.releases.model.release import LEAVING, Ending, Release

MAX_STEPS = 10_000


class OrderRefusedError(FailedPreconditionError):
    """An order that the release cannot take where it is."""


@dataclass(frozen=True, slots=True)
class Order(ABC):
    """Base of all orders. A field is an option: it has a description, and a default that means "not given".

    Attributes:
        verb: its name in paths and on the command line.
        meaning: the help line.
    """

    verb: ClassVar[str]
    meaning: ClassVar[str]

    @abstractmethod
    def apply(self, release: Release, who: str, now: float) -> Release:
        """The release after the order; the same object where nothing changes.

        Args:
            who: id of the key that gives it.
            now: seconds since the epoch.

        Raises:
            OrderRefusedError: the release cannot take it where it is.
        """

    def options(self) -> dict[str, str]:
        """The options that are given, as text."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: _text(value) for name, value in given.items() if value != _default(type(self), name)}


@dataclass(frozen=True, slots=True)
class Pause(Order):
    """Holds a release; its way back stays open."""

    verb = "pause"
    meaning = "hold it where it is; the judge goes on and may still roll it back"

    def apply(self, release: Release, who: str, now: float) -> Release:
        return _with_paused(release, self, True, who, now)


@dataclass(frozen=True, slots=True)
class Resume(Order):
    """Lets a paused release go on."""

    verb = "resume"
    meaning = "let it go on"

    def apply(self, release: Release, who: str, now: float) -> Release:
        return _with_paused(release, self, False, who, now)


@dataclass(frozen=True, slots=True)
class Promote(Order):
    """Opens a gate: that of ``step``, or without one the gate that is present when the order comes."""

    verb = "promote"
    meaning = "open the present gate"

    full: Annotated[bool, Field(description="Skip every gate that is left, not only the present one")] = False
    step: Annotated[
        int | None,
        Field(ge=0, lt=MAX_STEPS, description="Only the gate of this step, from 0; nothing if it is open"),
    ] = None

    def __post_init__(self) -> None:
        if self.full and self.step is not None:
            raise ValueError(f"full=true with step={self.step}: accepted is one of them")

    def apply(self, release: Release, who: str, now: float) -> Release:
        _check_forward(release, self)
        if self.step is not None and _is_past(release, self.step):
            return release
        if release.phase not in ("step", "confirming"):
            raise OrderRefusedError(f"release {release.id} is {_where(release)}; promote opens the gate of a step")
        if self.step is not None and self.step != release.step:
            raise OrderRefusedError(
                f"release {release.id} is at step {release.step}; the gate of step {self.step} comes later"
            )
        if self.full or release.phase == "confirming":
            switching = begin_phase(release, "switching", now).model_copy(update={"paused": False})
            return with_history(switching, now, who, "promoted: all the traffic moves")
        if release.approved:
            return release
        opened = release.model_copy(update={"approved": True, "paused": False})
        return with_history(opened, now, who, f"gate of step {release.step} opened")


@dataclass(frozen=True, slots=True)
class Rollback(Order):
    """Takes the challenger back."""

    verb = "rollback"
    meaning = "give the champion its traffic back and remove the challenger"

    def apply(self, release: Release, who: str, now: float) -> Release:
        return _restoring(release, "rolled_back", who, now)


@dataclass(frozen=True, slots=True)
class Cancel(Order):
    """Takes the challenger back as no longer wanted."""

    verb = "cancel"
    meaning = "the same, noted as no longer wanted"

    def apply(self, release: Release, who: str, now: float) -> Release:
        return _restoring(release, "cancelled", who, now)


ORDERS: dict[str, type[Order]] = {order.verb: order for order in (Pause, Resume, Promote, Rollback, Cancel)}
"""Every order by its verb."""


def parse_order(verb: str, options: Mapping[str, Any]) -> Order:
    """An order from plain values. Names that are no order's option are ignored.

    Raises:
        InvalidArgumentError: there is no such order, it has no such option, or a value is not accepted.
    """
    order = ORDERS.get(verb)
    if order is None:
        raise InvalidArgumentError(f"path.verb {verb!r}: accepted are {', '.join(ORDERS)}")
    own = _names(order)
    for name, value in options.items():
        others = [other for other in ORDERS.values() if name in _names(other)]
        if name not in own and any(_is_given(other, name, value) for other in others):
            accepted = ", ".join(other.verb for other in others)
            raise InvalidArgumentError(f"{name}={value} with {verb}: accepted with {accepted}")
    return _parsed(order, {name: value for name, value in options.items() if name in own})


def option_schemas(order: type[Order]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and JSON schema of each option of an order."""
    yield from _adapter(order).json_schema().get("properties", {}).items()


@cache
def _adapter(order: type[Order]) -> TypeAdapter[Order]:
    return TypeAdapter(order)


def _names(order: type[Order]) -> set[str]:
    return {field.name for field in fields(order)}


def _parsed(order: type[Order], options: Mapping[str, Any]) -> Order:
    try:
        return _adapter(order).validate_python(dict(options))
    except ValidationError as error:
        raise InvalidArgumentError("; ".join(_problem(each) for each in error.errors())) from None


def _is_given(order: type[Order], name: str, value: Any) -> bool:
    try:
        return bool(_parsed(order, {name: value}).options())
    except InvalidArgumentError:
        return True


def _problem(problem: Any) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    where = ".".join(map(str, problem["loc"]))
    return f"query.{where}: {message}" if where else message


def _default(order: type[Order], name: str) -> Any:
    return next(field.default for field in fields(order) if field.name == name)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_forward(release: Release, order: Order) -> None:
    if release.is_final or release.phase in LEAVING:
        raise OrderRefusedError(f"release {release.id} is {_where(release)}; it takes no {order.verb}")


def _with_paused(release: Release, order: Order, paused: bool, who: str, now: float) -> Release:
    _check_forward(release, order)
    if release.paused == paused:
        return release
    changed = release.model_copy(update={"paused": paused})
    return with_history(changed, now, who, "paused" if paused else "resumed")


def _restoring(release: Release, ending: Ending, who: str, now: float) -> Release:
    if release.phase in ("retiring", "promoted"):
        raise OrderRefusedError(
            f"release {release.id} is {_where(release)}: version {release.challenger} is champion; "
            f"release version {release.champion} to go back to it"
        )
    if release.is_final or release.phase in LEAVING:
        return release
    return begin_restoring(release, now, who, "ordered", ending)


def _is_past(release: Release, step: int) -> bool:
    return release.phase not in ("preparing", "step") or release.step > step


def _where(release: Release) -> str:
    return f"in the phase {release.phase}" if not release.is_final else release.phase.replace("_", " ")
