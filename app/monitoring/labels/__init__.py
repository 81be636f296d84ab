"""Losses of predictions once their labels arrived: the join of both logs, for releases judged by it.

One process, the release controller, owns a :class:`LabelJoin` (``join``) and is handed each loss; ``release_join``
joins for one release. Both records meet in ``index``, in Redis by ``scripts``. Pure: ``joined_release`` (what is read
of a release), ``judged_prediction``, ``loss``; ``tally`` counts.
"""

from app.monitoring.labels.join import LabelJoin
from app.monitoring.labels.joined_release import JoinedRelease, QualityLoss
from app.monitoring.labels.tally import JoinStats

__all__ = ["JoinStats", "JoinedRelease", "LabelJoin", "QualityLoss"]
