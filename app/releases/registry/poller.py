"""The poller of the registry: begins the releases that it asks for, at an interval and at once on a hint.

The look is the truth; a hint (``registry_events``) only brings it forward. What is begun is checked as if a person
had asked, and waits for its turn while the model has a release under way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection
from typing import Protocol

from redis.exceptions import RedisError

from app.periodic import Periodic
from app.registry import RegistryError
from app.releases.control.controller import NotLeadingError, ReleaseAdmissionError
from app.releases.control.release_store import AuditEntry, FencedError, LiveReleaseError
from app.releases.model.plan import PlanError, ReleasePlan
from app.releases.model.release import Release
from app.releases.model.release_request import NoPlanError, ReleaseRequest, plan_of

log = logging.getLogger(__name__)

REGISTRY = "registry"
"""Author of what the registry asks for, in the history and the audit log."""
LOOKUP_S = 20.0
"""Time a look at the registry may take, seconds."""
GAP_S = 0.5
"""Between two looks, however many hints there are, seconds."""
MAX_REPORTED = 10_000
"""Sentences that are remembered as said."""


class RequestSource(Protocol):
    """See ``app.releases.registry.reader.RegistryReader``; blocks."""

    def requests(self, served: Collection[str]) -> list[ReleaseRequest]: ...

    def mark(self, request: ReleaseRequest, outcome: str) -> None: ...


class ReleaseStarter(Protocol):
    """The controller as the poller uses it; see ``app.releases.control.controller.Controller``."""

    @property
    def token(self) -> int | None: ...

    def busy(self) -> frozenset[str]: ...

    async def begin(
        self, model: str, version: str, plan: ReleasePlan, who: str, mark: str | None = None, since: int | None = None
    ) -> Release: ...


class AuditLog(Protocol):
    """See ``app.releases.control.release_store.ReleaseStore``."""

    async def append_audit(self, entry: AuditEntry, token: int) -> None: ...


class RouteTables(Protocol):
    """See ``app.routing.route_store.RouteStore``."""

    async def read_all(self) -> Collection[str]: ...


class RegistryPoller:
    """The poller of one controller.

    Args:
        every_s: interval of the looks, seconds; 0: there are none.
        lookup_s: time that one may take, seconds.
    """

    def __init__(
        self,
        every_s: float,
        registry: RequestSource,
        controller: ReleaseStarter,
        audit: AuditLog,
        tables: RouteTables,
        lookup_s: float = LOOKUP_S,
    ) -> None:
        self._every_s, self._lookup_s = every_s, lookup_s
        self._registry, self._controller, self._audit, self._tables = registry, controller, audit, tables
        self._query: asyncio.Task[list[ReleaseRequest]] | None = None
        self._reported: dict[tuple[str, str], None] = {}
        self._periodic = Periodic(
            "looking at what the registry asks for",
            self._run,
            every_s,
            expected=(RegistryError,),
            consequence="the releases that it asks for have to wait",
        )

    @property
    def is_on(self) -> bool:
        """True where the settings have an interval."""
        return self._every_s > 0

    def start(self) -> None:
        """Begins, on the running loop."""
        if self.is_on:
            self._periodic.start()

    async def stop(self) -> None:
        """Ends; a question that MLflow has not answered yet ends in its thread, and its answer is dropped."""
        await self._periodic.stop()

    def hint(self) -> None:
        """Brings the next look forward to now. Never waits, and any number of hints cause one look."""
        self._periodic.wake()

    async def _run(self) -> None:
        try:
            await self._look_up()
        except RegistryError:
            await asyncio.sleep(GAP_S)
            raise
        except (NotLeadingError, FencedError, RedisError, OSError):
            pass  # the controller logs it
        await asyncio.sleep(GAP_S)

    async def _look_up(self) -> None:
        token = self._controller.token
        if token is None:
            self._periodic.wake()  # look again as soon as this controller may decide
            return
        busy = self._controller.busy()  # before the registry is read: a release's own alias is no request
        for request in await self._requests(await self._tables.read_all()):
            if request.model not in busy:
                await self._begin(request, token)
                busy = busy | self._controller.busy()

    async def _requests(self, served: Collection[str]) -> list[ReleaseRequest]:
        """The present requests of the registry; one question at a time, however long it takes.

        Raises:
            RegistryError: MLflow is away, or does not answer in time.
        """
        if self._query is not None and not self._query.done():
            raise RegistryError(f"MLflow has not answered the last question within {self._lookup_s:g} s")
        self._query = asyncio.create_task(asyncio.to_thread(self._registry.requests, served))
        self._query.add_done_callback(_retrieve)
        done, _ = await asyncio.wait({self._query}, timeout=self._lookup_s)
        if not done:
            raise RegistryError(f"MLflow has not answered within {self._lookup_s:g} s")
        return self._query.result()

    async def _begin(self, request: ReleaseRequest, token: int) -> None:
        try:
            plan = await asyncio.to_thread(plan_of, request)  # a hostile YAML takes seconds
            release = await self._controller.begin(
                request.model, request.version, plan, REGISTRY, mark=request.mark, since=token
            )
        except NoPlanError as error:
            await self._report_once(request, token, f"{request.by}: {error}; nothing is released")
        except (PlanError, ReleaseAdmissionError) as error:
            await self._refuse(request, token, str(error))
        except LiveReleaseError as error:
            log.info("%s of %s waits: %s", request.by, request.model, error)
        except (RegistryError, NotLeadingError, FencedError, RedisError, OSError):
            raise  # of all requests
        except Exception:
            log.exception("%s of %s cannot be looked into; others are", request.by, request.model)
        else:
            log.info("%s of %s has begun release %s", request.by, request.model, release.id)

    async def _refuse(self, request: ReleaseRequest, token: int, why: str) -> None:
        await asyncio.to_thread(self._registry.mark, request, f"refused: {why}")
        await self._report_once(request, token, f"{request.by}: refused: {why}")

    async def _report_once(self, request: ReleaseRequest, token: int, what: str) -> None:
        """In the log and in the audit log; while it stays so, this controller does not say it again."""
        key = (f"{request.model}/{request.version}", what)
        if key in self._reported:
            return
        log.warning("%s: %s", request.model, what)
        await self._audit.append_audit(AuditEntry(time.time(), REGISTRY, request.model, "", what, "", ""), token)
        self._reported[key] = None
        if len(self._reported) > MAX_REPORTED:
            del self._reported[next(iter(self._reported))]


def _retrieve(task: asyncio.Task[list[ReleaseRequest]]) -> None:
    if not task.cancelled():
        task.exception()  # the caller has given up, and an unread error would be logged
