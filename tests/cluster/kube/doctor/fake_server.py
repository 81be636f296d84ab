"""A fake of ``cluster.kube.api.Kube`` in memory: objects that are there, kinds that are known, what is forbidden."""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster.kube.errors import KubeError, MissingKindError, PermissionDeniedError
from cluster.kube.manifest import Key, Object, key_of
from cluster.kube.reading import at


@dataclass
class FakeServer:
    """``forbidden`` names kinds, ``denied`` resources that a review denies; ``errors`` are by object's name."""

    objects: list[Object] = field(default_factory=list)
    unknown_kinds: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    errors: dict[str, KubeError] = field(default_factory=dict)
    version: str = "v1.36.2"
    server: str = "https://fake.example:6443"
    field_manager: str = "tidegate"
    sent: list[tuple[str, Key]] = field(default_factory=list)
    reviews: list[Object] = field(default_factory=list)

    def find(self, key: Key) -> Object | None:
        self._look(key.kind)
        return next((obj for obj in self.objects if key_of(obj) == key), None)

    def list(
        self, api_version: str, kind: str, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        if namespace is None:
            self._look(f"{kind} everywhere")
        self._look(kind)
        name, value = labels.split("=") if labels else ("", None)
        wanted = fields.removeprefix("metadata.name=")
        return [
            obj
            for obj in self.objects
            if (obj["apiVersion"], obj["kind"]) == (api_version, kind)
            and (namespace is None or obj["metadata"].get("namespace") == namespace)
            and (not labels or at(obj, "metadata", "labels", name) == value)
            and (not wanted or obj["metadata"]["name"] == wanted)
        ]

    def create(self, obj: Object) -> Object:
        assert obj["kind"] == "SelfSubjectAccessReview"
        self.reviews.append(obj)
        return obj | {"status": {"allowed": obj["spec"]["resourceAttributes"]["resource"] not in self.denied}}

    def apply(self, obj: Object, *, force: bool = False, dry_run: bool = False) -> Object:
        self.sent.append(("dry run" if dry_run else "apply", key_of(obj)))
        if refusal := self.errors.get(obj["metadata"]["name"]):
            raise refusal
        return obj

    def is_namespaced(self, api_version: str, kind: str) -> bool:
        self._look(kind)
        return kind not in ("Namespace", "Node")

    def server_version(self) -> str:
        if error := self.errors.get("version"):
            raise error
        return self.version

    def _look(self, kind: str) -> None:
        if kind in self.unknown_kinds:
            raise MissingKindError(f"no kind {kind}", status=404)
        if kind in self.forbidden:
            raise PermissionDeniedError(f"{kind} is forbidden", status=403)
