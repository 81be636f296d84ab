"""Where Tidegate runs: ``cluster.local`` is the stack on one machine."""
