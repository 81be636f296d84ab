"""A server-side dry run of every object before anything is sent: schema, admission rules, quotas and rights.

The API server checks each object as it would at the real apply and keeps nothing. It does not know the operator's
rules: those follow as events (:mod:`cluster.kube.operator_warnings`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.kube.api import Kube
from cluster.kube.applying import Applied, Applier
from cluster.kube.errors import ApiError, UnauthenticatedError
from cluster.kube.manifest import Key, Object, key_of
from cluster.kube.readback import autoscaled

_WEBHOOK_WITHOUT_DRY_RUN = "does not support dry run"
"""The API server refuses every dry run that would reach an admission webhook with side effects
(``NewDryRunUnsupportedErr``, k8s.io/apiserver); the real apply is not refused."""


def dry_runs(
    kube: Kube, objects: Sequence[Object], *, force: bool = False
) -> Iterator[tuple[Key, Applied | ApiError]]:
    """Yields the answer to a dry run of each object, in their order: what would become of it, or the refusal.

    An object whose namespace does not exist yet is not checked and counts as created.

    Raises:
        UnauthenticatedError, UnreachableError: no object can be checked.
    """
    applier = Applier(kube, autoscaled(objects, None), force=force, dry_run=True)
    for obj in objects:
        try:
            yield key_of(obj), applier.apply(obj)
        except UnauthenticatedError:
            raise
        except ApiError as error:
            yield key_of(obj), error


def check_all(kube: Kube, objects: Sequence[Object], *, force: bool = False) -> None:
    """Raises the refusals of all objects as one error, so that nothing is sent while one of them is refused.

    Raises:
        ApiError: of the first refusal's class; the message has every refusal.
    """
    refused = [answer for _, answer in dry_runs(kube, objects, force=force) if isinstance(answer, ApiError)]
    refused = [error for error in refused if _WEBHOOK_WITHOUT_DRY_RUN not in error.message]
    if not refused:
        return
    first = refused[0]
    lines = "\n".join(f"  {line}" for line in dict.fromkeys(error.message for error in refused))
    raise type(first)(
        f"nothing was sent: the API server refuses {len(refused)} of {len(objects)} objects in a dry run:\n{lines}",
        status=first.status,
        reason=first.reason,
        causes=first.causes,
        advice=first.advice,
    )
