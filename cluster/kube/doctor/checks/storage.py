"""Is there somebody who makes the volumes?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cluster.kube.doctor.check import Check
from cluster.kube.doctor.facts import Facts, Unknown
from cluster.kube.manifest import Object
from cluster.kube.rules.reading import at, objects

_SUBJECT = "storage"
_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def storage_checks(facts: Facts, rendered: Iterable[Object]) -> Iterator[Check]:
    for claim, spec in _claims(rendered):
        wanted = spec.get("storageClassName")
        yield _judged(claim, wanted, facts.storage_classes)
        if "ReadWriteMany" in (spec.get("accessModes") or ()):
            named = f"class {wanted}" if wanted else "the default class"
            yield Check(
                _SUBJECT,
                "unknown",
                f"{claim} is ReadWriteMany; no API says whether {named} can do that",
                "a class on NFS, CephFS or the like; on block storage the claim stays Pending",
            )


def _claims(rendered: Iterable[Object]) -> Iterator[tuple[str, Object]]:
    for obj in rendered:
        if obj["kind"] == "PersistentVolumeClaim":
            yield f"claim {obj['metadata']['name']}", obj["spec"]
        elif obj["kind"] == "StatefulSet":
            for template in objects(at(obj, "spec", "volumeClaimTemplates")):
                yield f"claim {template['metadata']['name']} of {obj['metadata']['name']}", template["spec"]


def _judged(claim: str, wanted: object, classes: tuple[Object, ...] | Unknown) -> Check:
    if wanted == "":
        return Check(
            _SUBJECT, "unknown", f"{claim} takes a volume that someone has made", "a PersistentVolume for it"
        )
    if isinstance(classes, Unknown):
        advice = f"see to it that class {wanted} exists" if wanted else "see to it that one class is the default"
        return Check(_SUBJECT, "unknown", f"{claim}: {classes.why}", advice)
    names = [str(at(found, "metadata", "name")) for found in classes]
    defaults = [
        str(at(found, "metadata", "name"))
        for found in classes
        if at(found, "metadata", "annotations", _DEFAULT) == "true"
    ]
    there = f"there are: {', '.join(names) or 'none'}"
    if wanted:
        if wanted in names:
            return Check(_SUBJECT, "ok", f"{claim}: class {wanted}")
        return Check(_SUBJECT, "problem", f"{claim}: no class {wanted}", f"another storageClassName; {there}")
    if len(defaults) == 1:
        return Check(_SUBJECT, "ok", f"{claim}: class {defaults[0]}, the default")
    if not defaults:
        return Check(
            _SUBJECT, "problem", f"{claim}: no class is the default", f"name one as storageClassName; {there}"
        )
    found = f"{claim}: {len(defaults)} classes are the default: {', '.join(defaults)}"
    return Check(_SUBJECT, "warning", found, "name one as storageClassName: the newest of them would be taken")
