"""Other servers, each on the same model and in an environment of its own: ``kserve_dot``, ``mlserver_dot``."""
