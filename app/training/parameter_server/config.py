"""Configuration of a run with parameter servers, beside that of every run."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Mode = Literal["synchronous", "asynchronous", "stale_synchronous"]

DEFAULT_STALENESS = 2


class ParameterServerConfig(BaseModel):
    """Number of servers, and the bound on the distance between workers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    servers: int = Field(1, ge=1, description="Processes that the parameters are cut over")
    mode: Mode = Field(
        "synchronous",
        description="synchronous: one update a step, from the mean of all gradients; asynchronous: every gradient "
        "is an update of its own, at once; stale_synchronous: the same, but no worker leads by more than staleness",
    )
    staleness: int | None = Field(
        None,
        ge=0,
        description=f"Steps that a worker may be ahead of the slowest (stale_synchronous only, {DEFAULT_STALENESS})",
    )
    deadline_s: float = Field(
        600.0, gt=0, description="Longest wait for a gradient, for a server's answer or for room on the cluster"
    )

    @model_validator(mode="after")
    def _bound_only_where_it_holds(self) -> ParameterServerConfig:
        if self.staleness is not None and self.mode != "stale_synchronous":
            raise ValueError(
                f"staleness = {self.staleness}: mode {self.mode} has no bound to set; accepted is staleness with "
                "mode stale_synchronous, or none"
            )
        return self

    @property
    def bound(self) -> int | None:
        """Steps that a worker may begin ahead of the slowest; None: any number."""
        if self.mode == "synchronous":
            return 0
        if self.mode == "asynchronous":
            return None
        return DEFAULT_STALENESS if self.staleness is None else self.staleness
