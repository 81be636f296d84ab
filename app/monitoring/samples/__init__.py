"""What was measured of requests during a release: summed up where it happens, by the second, and added up in Redis.

``SampleBook`` takes it down, ``SampleWriter`` sends it, ``SampleStore`` reads it for the judge.
"""

from app.monitoring.samples.book import Sample, SampleBook
from app.monitoring.samples.store import SampleStore
from app.monitoring.samples.writer import SampleStats, SampleWriter

__all__ = ["Sample", "SampleBook", "SampleStats", "SampleStore", "SampleWriter"]
