"""Losses of a release's requests: summed up by the second in each process, and over processes in Redis.

``loss_buffer`` adds them up, ``sample_writer`` sends the sums, ``sample_store`` reads them for the judge;
``encoding`` is their form in Redis.
"""

from app.monitoring.samples.loss_buffer import LossBuffer
from app.monitoring.samples.sample_store import SampleStore
from app.monitoring.samples.sample_writer import SampleStats, SampleWriter
from app.monitoring.sums import Sample

__all__ = ["LossBuffer", "Sample", "SampleStats", "SampleStore", "SampleWriter"]
