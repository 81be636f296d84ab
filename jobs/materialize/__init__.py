"""The job ``tidegate materialize``: ``request`` checks what is asked for, ``run`` writes rows and replays events."""
