"""``tidegate kube doctor``: whether a cluster is ready for an overlay, before anything is sent to it."""

from __future__ import annotations

import argparse

from cluster.kube.cli import Verbs, add_access, run
from cluster.kube.connection import connect, namespace_of
from cluster.kube.doctor import needs, report
from cluster.kube.doctor.checks import examine
from cluster.kube.render import render
from cluster.kube.verbs.render import add_sets

DESCRIPTION = """\
Check whether a cluster is ready for OVERLAY: the API server, your rights, kinds, the KubeRay operator, Secrets,
storage classes, and a dry run of every object. Nothing is changed.

Each line is ok, a warning, a problem with what to do about it, or unknown where you may not look. Exit code: 1 with a
problem, else 0.
"""
EXAMPLES = """\
examples:
  tidegate kube doctor ha
  tidegate kube doctor gpu+mesh --set image=NAME@sha256:…
  tidegate kube doctor --json | jq '.checks[] | select(.level == "problem")'
"""


def add_parser(verbs: Verbs[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "doctor",
        help="is the cluster ready for an overlay?",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("overlay", nargs="?", default="base", metavar="OVERLAY", help="(default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="the checks as JSON")
    add_sets(parser)
    add_access(parser)
    parser.set_defaults(run=lambda options: run(_doctor, options))


def _doctor(options: argparse.Namespace) -> int:
    rendered = render(options.overlay, options.sets, options.namespace)
    namespace = needs.namespace_of(rendered, namespace_of(options))
    checks = examine(connect(options.kubeconfig, options.context), rendered, namespace)
    print(report.as_json(options.overlay, namespace, checks) if options.json else report.as_text(checks))
    return report.exit_code(checks)
