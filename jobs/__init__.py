"""What ``ray job submit`` runs. Every job also runs as a plain ``python -m jobs.NAME``."""

from app.settings import adopt_ray_environment

adopt_ray_environment()  # here, because Ray reads its environment when a job's module imports it
