"""What ``ray job submit`` runs. Every job also runs as a plain ``python -m jobs.NAME``."""
