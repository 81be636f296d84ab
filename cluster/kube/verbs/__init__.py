"""One file per verb of ``tidegate kube``: its options, its output, its exit code."""
