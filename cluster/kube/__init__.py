"""The platform on Kubernetes: manifests rendered, checked, compared, applied, watched, scaled and removed.

- Commands: ``verbs`` has one file for each verb of ``tidegate kube``, ``options`` what they share, ``output`` prints.
- Manifests: ``overlays``, ``render``, ``sets``, ``variables``, ``namespaces``; ``desired`` is the result, ``sizes``
  and ``demand`` its resources.
- Objects as plain values: ``manifest``, ``reading``, ``quantities``, ``comparison``.
- The API server: ``connection`` finds it, ``api`` is the client (over ``transport``, ``discovery``, ``watching``),
  ``reader`` its reading half, ``status_errors`` and ``errors`` its refusals.
- Checks before an apply: ``doctor``, ``preflight``, ``silent_errors``, ``edge_limits``, ``driver_resources``.
- Writing: ``applying``, ``operator_warnings``, ``ownership``, ``readback``, ``running_cluster``, ``removal``,
  ``scaling``.
- Looking: ``snapshot`` of a namespace, ``readiness`` of each object, ``observer`` and ``wait`` over watches,
  ``status_report``, ``logs``.

The manifests themselves are plain Kustomize, in ``cluster/base``, ``cluster/components`` and ``cluster/overlays``;
``kubectl apply -k`` works on them, too.
"""
