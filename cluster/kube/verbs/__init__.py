"""One file per verb of ``python -m cluster``: its options, what it prints, its exit code."""
