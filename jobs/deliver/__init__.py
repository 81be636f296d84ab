"""The job ``tidegate deliver``: ``run`` trains, compares by ``offline_gate``, and has the version released."""
