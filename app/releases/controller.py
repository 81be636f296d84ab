"""The release controller: observes, decides, stores, acts; over and over, for every release under way.

It may be killed at any line: whoever takes the lease next goes on from the stored documents and from what the world
looks like. What may take long (deploying, draining, the registry) runs in tasks of its own, one of each kind at a
time, so that an order for the way back never waits for it.
"""

from __future__ import annotations

from app.releases.plan import Plan
from app.releases.release import Release


class AdmissionError(ValueError):
    """A release that cannot be begun; the message says why."""


class UnknownReleaseError(LookupError):
    """There is no release of that id."""


class NotLeadingError(RuntimeError):
    """This controller does not hold the lease: another one does, or Redis is away."""


class Controller:
    """Begins releases and takes orders; see the module."""

    async def begin(self, model: str, version: str, plan: Plan, who: str) -> Release:
        """Begin a release, once everything about it has been checked.

        Args:
            version: number or alias in the registry.
            who: id of the key that asks.

        Raises:
            AdmissionError: the plan cannot be honoured for this model and version.
            LiveReleaseError: the model has a release under way.
            NotLeadingError: another controller decides.
        """
        raise NotImplementedError

    async def order(self, release: str, verb: str, who: str, full: bool = False) -> Release:
        """Give a release an order; see ``app.releases.orders``.

        Raises:
            UnknownReleaseError: there is none of that id.
            RefusedError: it cannot take the order where it is.
            NotLeadingError: another controller decides.
        """
        raise NotImplementedError
