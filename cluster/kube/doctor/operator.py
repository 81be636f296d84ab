"""Checks of the KubeRay operator: there, new enough, running, watching the namespace, and let in by our policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from cluster.kube.api import Kube
from cluster.kube.doctor.answers import Unknown, answer_to, at_least, version_of
from cluster.kube.doctor.report import Check
from cluster.kube.manifest import Key, Object
from cluster.kube.reading import at, mapping, number, objects, text

OPERATOR_FLOOR = (1, 7)
OPERATOR = "kuberay-operator"
_DASHBOARD_PORTS = (8265, "dashboard")
_NAMESPACE_NAME = "kubernetes.io/metadata.name"


def operator_checks(kube: Kube, rendered: Sequence[Object], namespace: str) -> Iterator[Check]:
    """An operator of a sufficient version runs, watches the namespace, and is let in by our NetworkPolicies.

    The operator itself reports none of the three: the objects are stored, and nothing happens.
    """
    if not any(obj["apiVersion"].startswith("ray.io/") for obj in rendered):
        return
    subject, needed = "KubeRay operator", at_least(OPERATOR_FLOOR)
    found = _operators(kube, namespace)
    if isinstance(found, Unknown):
        advice = f"look yourself: kubectl get deployments -A -l app.kubernetes.io/name={OPERATOR}, {needed}"
        yield Check(subject, "unknown", found.why, advice)
        return
    if not found:
        yield Check(subject, "problem", "no Deployment of it in any namespace", f"install KubeRay {needed}")
    elif not any(_watches(operator, namespace) for operator in found):
        names = ", ".join(map(_name, found))
        advice = f"add {namespace} to its --watch-namespace, or install one that watches it"
        yield Check(subject, "problem", f"{names} does not watch namespace {namespace}", advice)
    for operator in (each for each in found if _watches(each, namespace)):
        name, image = _name(operator), text(_container(operator).get("image"))
        version = version_of(image.partition("@")[0].rpartition("/")[2].partition(":")[2])
        ready = number(at(operator, "status", "readyReplicas")) or 0
        home = text(at(operator, "metadata", "namespace"))
        if version is None:
            found_ = f"{name}: image {image!r} has no version in its tag"
            yield Check(subject, "unknown", found_, f"{needed} is needed")
        elif version < OPERATOR_FLOOR:
            yield Check(subject, "problem", f"{name}: image {image}", f"upgrade it to {needed}")
        elif ready:
            yield Check(subject, "ok", f"{name}: version {version[0]}.{version[1]}, {ready} ready")
        if not ready:
            yield Check(
                subject, "problem", f"{name}: 0 ready", "kubectl describe its pods; it acts on nothing meanwhile"
            )
        if not _lets_in(rendered, home):
            found_ = f"no NetworkPolicy lets namespace {home} reach the dashboard (8265), and {name} is there"
            yield Check(subject, "problem", found_, f"add {home} to the policy, or move the operator where it allows")


def _operators(kube: Kube, namespace: str) -> Sequence[Object] | Unknown:
    """Returns those of all namespaces, by label or name; else those of the namespaces that we may look into."""
    label = f"app.kubernetes.io/name={OPERATOR}"
    everywhere = answer_to(lambda: kube.list("apps/v1", "Deployment", None, labels=label))
    if not isinstance(everywhere, Unknown):
        return everywhere or kube.list("apps/v1", "Deployment", None, fields=f"metadata.name={OPERATOR}")
    places = dict.fromkeys((OPERATOR, "default", "ray-system", namespace))
    found = [answer_to(partial(kube.find, Key("apps/v1", "Deployment", OPERATOR, place))) for place in places]
    return [each for each in found if isinstance(each, dict)] or everywhere


def _watches(operator: Object, namespace: str) -> bool:
    container = _container(operator)
    arguments = [str(word) for name in ("command", "args") for word in container.get(name) or ()]
    for index, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name.lstrip("-") == "watch-namespace":
            namespaces = value if equals else "".join(arguments[index + 1 : index + 2])
            return not namespaces or namespace in namespaces.split(",")
    return True


def _lets_in(rendered: Sequence[Object], namespace: str) -> bool:
    """Returns False where NetworkPolicies of ours open the dashboard to named namespaces, and not to this one."""
    rules = [
        rule
        for obj in rendered
        if obj["kind"] == "NetworkPolicy"
        for rule in objects(at(obj, "spec", "ingress"))
        if any(port.get("port") in _DASHBOARD_PORTS for port in objects(rule.get("ports")))
    ]
    peers = [mapping(peer.get("namespaceSelector")) for rule in rules for peer in objects(rule.get("from"))]
    named = [mapping(peer.get("matchLabels")).get(_NAMESPACE_NAME) for peer in peers]
    other_selectors = any("matchExpressions" in peer for peer in peers)
    return not any(named) or namespace in named or other_selectors


def _container(operator: Object) -> Object:
    containers = objects(at(operator, "spec", "template", "spec", "containers"))
    return next((c for c in containers if "kuberay" in text(c.get("image"))), containers[0] if containers else {})


def _name(operator: Object) -> str:
    return f"{at(operator, 'metadata', 'namespace')}/{at(operator, 'metadata', 'name')}"
