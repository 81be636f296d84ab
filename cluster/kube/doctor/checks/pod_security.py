"""Does the namespace's pod security level let the pods in?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.kube.doctor.check import Check
from cluster.kube.doctor.demand import Pods, pods_of
from cluster.kube.doctor.facts import Facts, Unknown
from cluster.kube.manifest import Object
from cluster.kube.rules.reading import at, mapping, objects, text

_ENFORCE = "pod-security.kubernetes.io/enforce"
_SUBJECT = "pod security"


def pod_security_checks(facts: Facts, rendered: Sequence[Object]) -> Iterator[Check]:
    pods = pods_of(rendered)
    if pods:
        yield _judged(facts, rendered, pods)


def _judged(facts: Facts, rendered: Sequence[Object], pods: Sequence[Pods]) -> Check:
    ours = next((obj for obj in rendered if obj["kind"] == "Namespace"), None)
    # Our own label, where we bring one, is what holds after an apply.
    level = text(at(ours, "metadata", "labels", _ENFORCE)) or text(
        at(facts.namespace_object, "metadata", "labels", _ENFORCE)
    )
    if not level and isinstance(facts.namespace_object, Unknown):
        return Check(_SUBJECT, "unknown", facts.namespace_object.why, "see to it that its level lets the pods in")
    if not level:
        advice = f"label the namespace {_ENFORCE}=restricted: the pods fit it"
        return Check(_SUBJECT, "warning", "no level is enforced by the namespace", advice)
    unfit = {entry.name: faults for entry in pods if (faults := _faults(entry, level))}
    if unfit:
        found = "; ".join(f"{name}: {', '.join(faults)}" for name, faults in unfit.items())
        return Check(_SUBJECT, "problem", f"level {level} refuses {found}", "change these pods, or lower the level")
    return Check(_SUBJECT, "ok", f"level {level}; {len(pods)} kinds of pods fit it")


def _faults(pods: Pods, level: str) -> list[str]:
    """The main points of the pod security standards; the server's admission knows the rest."""
    if level == "privileged":
        return []
    spec, security = pods.spec, mapping(pods.spec.get("securityContext"))
    contexts = [mapping(container.get("securityContext")) for container in pods.containers]
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name) is True]
    if any(volume.get("hostPath") is not None for volume in objects(spec.get("volumes"))):
        found.append("hostPath")
    if any(context.get("privileged") is True for context in contexts):
        found.append("privileged")
    if level != "restricted":
        return found
    for context in contexts:
        effective = security | {name: value for name, value in context.items() if value is not None}
        wanted = {
            "runAsNonRoot": effective.get("runAsNonRoot") is True,
            "allowPrivilegeEscalation: false": context.get("allowPrivilegeEscalation") is False,
            "capabilities.drop: ALL": "ALL" in (at(context, "capabilities", "drop") or ()),
            "seccompProfile": at(effective, "seccompProfile", "type") in ("RuntimeDefault", "Localhost"),
        }
        found += [f"no {name}" for name, holds in wanted.items() if not holds and f"no {name}" not in found]
    return found
