"""The job ``tidegate deliver``: trains, compares by ``offline_gate``, and has the version released."""
