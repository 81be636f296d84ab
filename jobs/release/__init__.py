"""``python -m jobs.release``: releases from the command line, over the gateway's HTTP."""
