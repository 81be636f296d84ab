"""How often the judge is wrong and how long it takes, beside a z-test, a threshold check and Mann-Whitney."""

from jobs.bench.judge.command import main

__all__ = ["main"]
