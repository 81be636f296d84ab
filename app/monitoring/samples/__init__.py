"""What was measured of requests during a release: summed up where it happens, by the second, and added up in Redis.

``SampleBook`` takes it down, ``SampleWriter`` sends it, ``SampleStore`` reads it for the judge.
"""

from app.monitoring.samples.loss_buffer import Sample, SampleBook
from app.monitoring.samples.sample_store import SampleStore
from app.monitoring.samples.sample_writer import SampleStats, SampleWriter

__all__ = ["Sample", "SampleBook", "SampleStats", "SampleStore", "SampleWriter"]
