"""The request to fill the feature store, checked before anything is connected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.features import FeatureSource, RollingView
from app.recipes import find_recipe
from app.training.config.train_config import ConfigError


@dataclass(frozen=True, slots=True)
class Request:
    """A checked request.

    Attributes:
        until: whole seconds since 1970-01-01 UTC; None: the store's time.
        to: where the replay ends; None: at the last event.
        speed: event seconds in a second of wall time.
    """

    recipe: FeatureSource
    views: tuple[RollingView, ...]
    until: int | None
    serve: bool
    to: int | None
    speed: float
    fresh: bool
    replace: bool


def checked(
    recipe: str,
    *,
    until: str | None = None,
    views: Sequence[str] = (),
    serve: bool = False,
    speed: float | None = None,
    to: str | None = None,
    fresh: bool = False,
    replace: bool = False,
) -> Request:
    """Returns the request that the options of the command line mean.

    Raises:
        ConfigError: one of them is refused.
    """
    found = find_recipe(recipe, {})
    if not isinstance(found, FeatureSource) or not found.feature_views:
        raise ConfigError(f"--recipe {recipe}: this recipe has no feature views")
    names = {view.name: view for view in found.feature_views}
    unknown = [name for name in views if name not in names]
    if unknown:
        raise ConfigError(f"--view {', '.join(unknown)}: accepted are {', '.join(names)}")
    if serve and until is None:
        raise ConfigError("--serve replays from an instant: give it by --until")
    if not serve and (to is not None or speed is not None):
        raise ConfigError("--to and --speed are of a replay: give --serve")
    if speed is not None and not 0 < speed < float("inf"):
        raise ConfigError(f"--speed {speed}: accepted are seconds of events per second, more than 0")
    return Request(
        recipe=found,
        views=tuple(view for name, view in names.items() if not views or name in views),
        until=_instant("--until", until),
        serve=serve,
        to=_instant("--to", to),
        speed=speed or 1.0,
        fresh=fresh,
        replace=replace,
    )


def _instant(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{option} {text}: accepted is an instant such as 2013-10-01 or 2013-10-01T05:00Z"
        ) from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
