"""One file per verb of ``tidegate kube``: its options, what it prints, its exit code."""
