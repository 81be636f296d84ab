"""What was measured of requests during a release: summed up where it happens, by the second, and added up in Redis.

``LossBuffer`` takes it down, ``SampleWriter`` sends it, ``SampleStore`` reads it for the judge.
"""

from app.monitoring.samples.loss_buffer import LossBuffer
from app.monitoring.samples.sample_store import SampleStore
from app.monitoring.samples.sample_writer import SampleStats, SampleWriter
from app.monitoring.sums import Sample

__all__ = ["LossBuffer", "Sample", "SampleStats", "SampleStore", "SampleWriter"]
