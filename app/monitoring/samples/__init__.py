"""Losses of a release's requests: summed up by the second in each process, and over processes in Redis.

``LossBuffer`` adds them up, ``SampleWriter`` sends the sums, ``SampleStore`` reads them for the judge.
"""

from app.monitoring.samples.loss_buffer import LossBuffer
from app.monitoring.samples.sample_store import SampleStore
from app.monitoring.samples.sample_writer import SampleStats, SampleWriter
from app.monitoring.sums import Sample

__all__ = ["LossBuffer", "Sample", "SampleStats", "SampleStore", "SampleWriter"]
