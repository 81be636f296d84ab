"""Places where Tidegate runs: ``local`` is the stack on one machine, ``kube`` the platform on Kubernetes.

``base``, ``components`` and ``overlays`` hold the manifests. The commands are ``tidegate local`` and
``tidegate kube``; ``mlflow_schema`` migrates MLflow's database there.
"""
