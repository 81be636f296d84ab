"""Recordings of a real Kubernetes that tests are held against: CRDs as JSON, requests with their responses, watches.

``README.md`` says where each was recorded and in which form.
"""

from __future__ import annotations

from pathlib import Path

CRDS = Path(__file__).parent / "crds"
TRANSCRIPTS = Path(__file__).parent / "transcripts"
