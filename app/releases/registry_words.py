"""What a release writes into the registry: names of aliases and tags."""

from app.registry import CHALLENGER as CHALLENGER_ALIAS
from app.registry import CHAMPION as CHAMPION_ALIAS

RELEASE_TAG = "tidegate.release"
"""Tag of a version: the id of its newest release."""
RESULT_TAG = "tidegate.release.result"
"""Tag of a version: how that release ended."""

__all__ = ["CHALLENGER_ALIAS", "CHAMPION_ALIAS", "RELEASE_TAG", "RESULT_TAG"]
