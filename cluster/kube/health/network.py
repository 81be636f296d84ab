"""Services, and gateways with their routes."""

from __future__ import annotations

from cluster.kube.health.verdict import (
    Health,
    Related,
    condition_message,
    conditions,
    failed,
    is_true,
    progressing,
    ready,
    without_status,
)
from cluster.kube.manifest import Object

CONTROLLER = "a controller of its class"


def gateway(obj: Object, related: Related) -> Health:
    """Ready when it is accepted and programmed, with its address."""
    status = obj.get("status") or {}
    found = conditions(status)
    if not found or all(each.get("status") == "Unknown" for each in found.values()):
        return without_status({**obj, "status": {}}, related, CONTROLLER)
    for name in ("Accepted", "Programmed"):
        condition = found.get(name)
        if not is_true(condition):
            reason = (condition or {}).get("reason", "")
            why = f"{name} is not true: {reason}: {condition_message(condition)}"
            return progressing(why) if reason in ("", "Pending", "AddressNotAssigned") else failed(why)
    addresses = ", ".join(each.get("value", "") for each in status.get("addresses") or [])
    return ready(addresses)


def route(obj: Object, related: Related) -> Health:
    """Ready when every parent has accepted it and all that it refers to was found."""
    parents = (obj.get("status") or {}).get("parents") or []
    if not parents:
        return without_status(obj, related, CONTROLLER)
    for parent in parents:
        name = (parent.get("parentRef") or {}).get("name")
        found = conditions(parent)
        for kind in ("Accepted", "ResolvedRefs"):
            if kind in found and not is_true(found[kind]):
                why = f"{found[kind].get('reason')}: {condition_message(found[kind])}"
                return failed(f"gateway {name}: {kind} is not true: {why}")
        if "Accepted" not in found:
            return progressing(f"gateway {name} has not accepted it yet")
    return ready(f"by {', '.join(str((parent.get('parentRef') or {}).get('name')) for parent in parents)}")


def service(obj: Object, related: Related) -> Health:
    """Ready by being there; one of type LoadBalancer when it has an address."""
    if (obj.get("spec") or {}).get("type") != "LoadBalancer":
        return ready()
    given = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    if not given:
        return progressing("waits for its load balancer's address")
    return ready(", ".join(each.get("hostname") or each.get("ip") or "" for each in given))
