"""What the running parts count, as Ray metrics: on the dashboard, and for whoever scrapes the cluster."""
