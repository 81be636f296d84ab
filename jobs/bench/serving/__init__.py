"""What an answer costs: CPU time, latency and memory of the gateway, beside other servers on the same model."""

from jobs.bench.serving.command import main

__all__ = ["main"]
