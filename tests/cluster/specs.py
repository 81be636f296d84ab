"""Where the Kubernetes facts that tests are held against lie: CRDs as JSON, recorded requests and responses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SPECS = Path(os.environ.get("TEST_SPECS") or Path(__file__).parents[2].parent / "shared" / "specs")
needs_specs = pytest.mark.skipif(
    not SPECS.is_dir(), reason=f"no specifications in {SPECS}; TEST_SPECS names their folder"
)
