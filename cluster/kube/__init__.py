"""The platform on Kubernetes: manifests rendered, checked, compared, applied, watched, scaled and removed.

``verbs/`` has one file for each verb of ``tidegate kube``; ``options`` has the options that they share. Manifests:
``overlays``, ``render``, ``sets``, ``sizes``. The API server: ``connection`` finds it, ``api`` is the client (over
``transport``, ``discovery``, ``watching``), ``errors`` its refusals with their exit codes, ``reader`` what those that
only look need. Checks before an apply: ``doctor/``, ``preflight``, ``silent_errors``, ``edge_limits``. Writing:
``applying``, ``operator_warnings``, ``ownership``, ``readback``, ``removal``, ``scaling``. Looking: ``snapshot`` of a
namespace, ``readiness/`` of each object, ``observer`` and ``wait`` over watches, ``status_report``, ``logs``.

The manifests themselves are plain Kustomize, in ``cluster/base``, ``cluster/components`` and ``cluster/overlays``;
``kubectl apply -k`` works on them, too.
"""
