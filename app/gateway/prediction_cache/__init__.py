"""Answers that were given before: a small cache in each gateway replica in front of one in Redis for all of them.

``cache_key.key_of`` says what was asked, ``cache.PredictionCache`` answers it, computing each answer once at a time,
from ``local_entries`` and ``shared_entries`` (as bytes by ``codec``); ``cache_stats`` counts.
"""

from app.gateway.prediction_cache.cache import CachedOutputs, PredictionCache
from app.gateway.prediction_cache.cache_key import key_of
from app.gateway.prediction_cache.cache_stats import CacheStats

__all__ = ["CacheStats", "CachedOutputs", "PredictionCache", "key_of"]
