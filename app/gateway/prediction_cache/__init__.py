"""Answers that were given before: a small cache in each gateway replica in front of one in Redis for all of them.

``key_of`` says what was asked, ``PredictionCache`` answers it, computing each answer once at a time.
"""

from app.gateway.prediction_cache.cache import CachedOutputs, PredictionCache
from app.gateway.prediction_cache.cache_key import key_of
from app.gateway.prediction_cache.cache_stats import CacheStats

__all__ = ["CacheStats", "CachedOutputs", "PredictionCache", "key_of"]
