"""Kinds of an API server and their paths: asked per group and version when first needed, then remembered."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from cluster.kube.errors import MissingKindError, UnreachableError
from cluster.kube.status_errors import NO_API_SERVER
from cluster.kube.transport import Request, Transport


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind's place: ``base`` is ``/api/v1`` or ``/apis/GROUP/VERSION``."""

    base: str
    plural: str
    namespaced: bool

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """The path of one object or, without a name, of the collection; of all namespaces without a namespace.

        Raises:
            ValueError: a single object of a namespaced kind without its namespace.
        """
        if self.namespaced and name is not None and namespace is None:
            raise ValueError(f"{self.plural}/{name} has namespace=None; objects of this kind lie in a namespace")
        parts = [self.base]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        return "/".join(parts)


class Discovery:
    """The kinds that the server has listed so far."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._known: dict[str, dict[str, Resource]] = {}

    def resource(self, api_version: str, kind: str) -> Resource:
        """The paths of a kind.

        Raises:
            MissingKindError: not on this server. It is asked again the next time: a CRD may have come.
            ApiError, UnreachableError: as of any request.
        """
        if kind not in self._known.get(api_version, {}):
            self._known[api_version] = self._discover(api_version)
        try:
            return self._known[api_version][kind]
        except KeyError:
            raise MissingKindError(
                f"the server has {api_version} but no kind {kind!r} in it",
                status=404,
                advice="the operator or controller that brings it is not installed, or not in this version",
            ) from None

    def _discover(self, api_version: str) -> dict[str, Resource]:
        base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        answer = self._transport.send(Request(f"look for {api_version}", "GET", base))
        if not isinstance(answer, dict) or answer.get("kind") != "APIResourceList":
            # Whatever it is: taken for a server without any kinds, it would have nothing to remove or to wait for.
            raise UnreachableError(
                f"look for {api_version}: what answered at {self._transport.server} is no API server: it lists no "
                f"resources\n  {NO_API_SERVER}"
            )
        return {
            found["kind"]: Resource(base, found["name"], found["namespaced"])
            for found in answer.get("resources") or ()
            if "/" not in found["name"]  # subresources: same kind, or one of their own
        }
