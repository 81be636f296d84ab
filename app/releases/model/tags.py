"""Names of the registry's aliases and tags that releases write and read."""

from app.model_spec import CHALLENGER as CHALLENGER_ALIAS
from app.model_spec import CHAMPION as CHAMPION_ALIAS

RELEASE_TAG = "tidegate.release"
"""Tag of a version: the id of its newest release."""
RESULT_TAG = "tidegate.release.result"
"""Tag of a version: how that release ended."""
PLAN_TAG = "tidegate.release.plan"
"""Set by others. Of a version: release it so; a plan, or the name of one. Of a registered model: the plan called
``default``, which is that of a challenger without one; with ``.NAME`` the plan of that name."""
MARK_TAG = "tidegate.release.asked."
"""Tag of a version, with what was asked: what became of it, the id of a release or why there is none."""

__all__ = ["CHALLENGER_ALIAS", "CHAMPION_ALIAS", "MARK_TAG", "PLAN_TAG", "RELEASE_TAG", "RESULT_TAG"]
