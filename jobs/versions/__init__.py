"""The job ``tidegate versions``: what ``run`` changes at the route table and in Serve by hand."""
