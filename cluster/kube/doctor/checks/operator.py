"""Is there a KubeRay operator that looks after this namespace, new enough, running, and let in?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cluster.kube.doctor.check import Check
from cluster.kube.doctor.facts import Facts, Unknown
from cluster.kube.manifest import Object
from cluster.kube.rules import Gates, read_gates
from cluster.kube.rules.reading import at, mapping, number, objects, text
from cluster.kube.rules.versions import parse

FLOOR = "1.7"
_SUBJECT = "KubeRay operator"
_DASHBOARD_PORTS = (8265, "dashboard")
_NAMESPACE_NAME = "kubernetes.io/metadata.name"


def gates_of(facts: Facts) -> Gates:
    """The gates of the operator that watches the namespace; 1.7's defaults where none is seen."""
    if isinstance(facts.operators, Unknown):
        return Gates()
    watching = [operator for operator in facts.operators if _watches(operator, facts.namespace)]
    return read_gates(_arguments(watching[0]))[0] if watching else Gates()


def operator_checks(facts: Facts, rendered: Iterable[Object]) -> Iterator[Check]:
    rendered = list(rendered)
    if not any(obj["apiVersion"].startswith("ray.io/") for obj in rendered):
        return
    if isinstance(facts.operators, Unknown):
        advice = (
            f"look yourself: kubectl get deployments -A -l app.kubernetes.io/name=kuberay-operator, {FLOOR} or later"
        )
        yield Check(_SUBJECT, "unknown", facts.operators.why, advice)
        return
    watching = [operator for operator in facts.operators if _watches(operator, facts.namespace)]
    if not facts.operators:
        yield Check(_SUBJECT, "problem", "no Deployment of it in any namespace", f"install KubeRay {FLOOR} or later")
    elif not watching:
        names = ", ".join(map(_name, facts.operators))
        advice = f"add {facts.namespace} to its --watch-namespace, or install one that watches it"
        yield Check(_SUBJECT, "problem", f"{names} does not watch namespace {facts.namespace}", advice)
    elif len(watching) > 1:
        names = " and ".join(map(_name, watching))
        yield Check(_SUBJECT, "problem", f"{names} both watch {facts.namespace}", "one operator per namespace")
    for operator in watching:
        yield _version(operator)
        yield _ready(operator)
        yield from _gates(operator)
        yield from _let_in(operator, rendered)


def _version(operator: Object) -> Check:
    image = text(_container(operator).get("image"))
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    try:
        enough = parse(tag) >= parse(FLOOR)
    except ValueError:
        return Check(
            _SUBJECT,
            "unknown",
            f"{_name(operator)}: the image {image!r} has no tag that is a version",
            f"see to it that it is {FLOOR} or later",
        )
    found = f"{_name(operator)}: version {tag}"
    return (
        Check(_SUBJECT, "ok", found)
        if enough
        else Check(_SUBJECT, "problem", found, f"upgrade it to {FLOOR} or later")
    )


def _ready(operator: Object) -> Check:
    ready = number(at(operator, "status", "readyReplicas")) or 0
    found = f"{_name(operator)}: {ready} ready"
    if not ready:
        return Check(_SUBJECT, "problem", found, "kubectl describe its pods: nobody acts on Ray's kinds meanwhile")
    return Check(_SUBJECT, "ok", found)


def _gates(operator: Object) -> Iterator[Check]:
    _, later = read_gates(_arguments(operator))
    if later:
        found = f"{_name(operator)}: feature gates that {FLOOR} does not know: {', '.join(later)}"
        yield Check(_SUBJECT, "unknown", found, "a later operator may have other rules than those checked here")


def _let_in(operator: Object, rendered: list[Object]) -> Iterator[Check]:
    """It asks the head's dashboard, so a NetworkPolicy of ours must name its namespace."""
    policies = [obj for obj in rendered if obj["kind"] == "NetworkPolicy"]
    peers = [peer for policy in policies for peer in _dashboard_peers(policy)]
    namespace = text(at(operator, "metadata", "namespace"))
    if not policies or any(_admits(peer, namespace) for peer in peers):
        return
    if any(_is_open_question(peer) for peer in peers):
        found = f"whether {_name(operator)} reaches the dashboard depends on labels of namespace {namespace}"
        yield Check(_SUBJECT, "unknown", found, "give the namespace the labels of the NetworkPolicy")
        return
    found = f"no NetworkPolicy lets namespace {namespace} reach the dashboard (8265), and {_name(operator)} is there"
    yield Check(_SUBJECT, "problem", found, f"put {namespace} into the policy, or the operator into its namespace")


def _dashboard_peers(policy: Object) -> list[Object]:
    rules = objects(at(policy, "spec", "ingress"))
    return [
        peer
        for rule in rules
        if any(port.get("port") in _DASHBOARD_PORTS for port in objects(rule.get("ports")))
        for peer in objects(rule.get("from")) or [{"namespaceSelector": {}}]
    ]


def _admits(peer: Object, namespace: str) -> bool:
    selector = peer.get("namespaceSelector")
    if not isinstance(selector, dict):
        return False
    if selector == {}:
        return True
    named = selector.get("matchLabels") == {_NAMESPACE_NAME: namespace}
    listed = any(
        entry.get("key") == _NAMESPACE_NAME
        and entry.get("operator") == "In"
        and namespace in (entry.get("values") or ())
        for entry in objects(selector.get("matchExpressions"))
    )
    return named or listed


def _is_open_question(peer: Object) -> bool:
    selector = mapping(peer.get("namespaceSelector"))
    keys = {*mapping(selector.get("matchLabels")), *(e.get("key") for e in objects(selector.get("matchExpressions")))}
    return bool(keys - {_NAMESPACE_NAME})


def _watches(operator: Object, namespace: str) -> bool:
    arguments = _arguments(operator)
    for index, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name.startswith("-") and name.lstrip("-") == "watch-namespace":
            listed = value if equals else "".join(arguments[index + 1 : index + 2])
            names = [entry.strip() for entry in listed.split(",") if entry.strip()]
            return not names or namespace in names
    return True


def _arguments(operator: Object) -> list[str]:
    container = _container(operator)
    return [str(word) for name in ("command", "args") for word in container.get(name) or ()]


def _container(operator: Object) -> Object:
    containers = objects(at(operator, "spec", "template", "spec", "containers"))
    return next((c for c in containers if "kuberay" in text(c.get("image"))), containers[0] if containers else {})


def _name(operator: Object) -> str:
    return f"{at(operator, 'metadata', 'namespace')}/{at(operator, 'metadata', 'name')}"
