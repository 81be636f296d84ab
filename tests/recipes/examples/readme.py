"""Reads the request that an example's README sends with curl."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


def request_of(readme: Path) -> list[dict[str, Any]]:
    """The instances of the first ``curl … -d '{"instances": […]}'``."""
    found = re.search(r"-d '(\{\"instances\".*?\})'", readme.read_text(), re.DOTALL)
    assert found is not None, f"{readme} has no request"
    instances: list[dict[str, Any]] = json.loads(found[1])["instances"]
    return instances
