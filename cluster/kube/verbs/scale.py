"""``tidegate kube scale``: a worker group brought to another number of replicas."""

from __future__ import annotations

import argparse
import json

from cluster.kube.cli import Verbs, add_access, run
from cluster.kube.connection import connect, namespace_of, platform_namespace
from cluster.kube.manifest import Key
from cluster.kube.scaling import API_VERSION, Scaled, scale, serving_cluster

DESCRIPTION = """\
Bring a worker group of the RayCluster that serves to N replicas, within its minReplicas and maxReplicas. The number
is written only if it is still the one that was read; otherwise it is read again, a few times.

With Ray's autoscaler N is where it starts from: it goes on by demand. What keeps workers is minReplicas. A running
cluster does not take the bounds from the manifests; cluster/runbook.md ("What a running cluster takes of an apply")
changes them in both.
"""
EPILOG = """\
exit status:
  0  it is N now          1  no such RayService or RayCluster
  2  no such group, or N is outside its bounds
  7  others changed the group each time
  others, as of `up`

examples:
  tidegate kube scale training 3
  tidegate kube scale serving 2 --cluster tidegate-7x2kd --dry-run
"""


def add_parser(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "scale",
        help="bring a worker group to a number of replicas",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("group", metavar="GROUP", help="the worker group's groupName")
    parser.add_argument("replicas", type=replicas, metavar="N", help="how many workers")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--service", default="tidegate", metavar="NAME", help="the RayService (default: tidegate)")
    which.add_argument("--cluster", metavar="NAME", help="this RayCluster instead of the one that serves")
    parser.add_argument("--dry-run", action="store_true", help="the server checks it and keeps nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    add_access(parser)
    parser.set_defaults(run=lambda options: run(_scale, options))


def replicas(text: str) -> int:
    """A number of replicas, for ``type=`` of an option."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of replicas; 0 and above are accepted")
    return int(text)


def _scale(options: argparse.Namespace) -> int:
    kube = connect(options.kubeconfig, options.context)
    if options.cluster:
        cluster = Key(API_VERSION, "RayCluster", options.cluster, namespace_of(options))
    else:
        cluster = serving_cluster(kube, platform_namespace(kube, options, options.service), options.service)
    found = scale(kube, cluster, options.group, options.replicas, dry_run=options.dry_run)
    if options.json:
        print(
            json.dumps({"cluster": cluster.name, "group": found.group, "before": found.before, "after": found.after})
        )
    else:
        print("\n".join(lines(found, dry_run=options.dry_run)))
    return 0


def lines(found: Scaled, *, dry_run: bool) -> list[str]:
    """What is said of it."""
    moved = (
        f"{found.before} -> {found.after} replicas" if found.before != found.after else f"is at {found.after} already"
    )
    text = [f"{found.cluster}: group {found.group}: {moved}{' (dry run)' if dry_run else ''}"]
    if found.autoscaler:
        text.append(
            "  Ray's autoscaler may change it again; minReplicas keeps workers (runbook.md: bounds of a group)"
        )
    return text
