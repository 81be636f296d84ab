"""Which version answers a request: the split, the route table, and what happens when a version does not answer."""
