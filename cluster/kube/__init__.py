"""The platform on Kubernetes: manifests rendered, checked, compared, applied, watched, scaled and removed.

One file per verb lies in ``verbs/``; what they share lies here. The manifests themselves are plain Kustomize, in
``cluster/base``, ``cluster/components`` and ``cluster/overlays``; ``kubectl apply -k`` works on them, too.
"""
