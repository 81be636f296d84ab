"""The part of a release that the label join reads; ``app.routing.release_context`` has one."""

from __future__ import annotations

from typing import Literal, Protocol


class QualityLoss(Protocol):
    """An output that is the probability of label 1, and the loss by which it is judged once the label is known."""

    @property
    def output(self) -> str: ...

    @property
    def loss(self) -> Literal["error", "brier"]: ...

    @property
    def threshold(self) -> float: ...


class JoinedRelease(Protocol):
    """A release: its id, its two versions (no champion for a model's first version), and the loss that labels are to
    give (None: no label judges it)."""

    @property
    def release(self) -> str: ...

    @property
    def champion(self) -> str | None: ...

    @property
    def challenger(self) -> str: ...

    @property
    def quality(self) -> QualityLoss | None: ...
