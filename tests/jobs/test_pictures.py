"""The README's pictures are what the repository draws."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from jobs.pictures import release
from jobs.pictures.__main__ import documents


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_picture_in_the_repository_is_the_one_that_is_drawn(path: Path) -> None:
    assert path.read_text() == documents()[path], "python -m jobs.pictures draws it anew"


@pytest.mark.parametrize("text", documents().values(), ids=[path.name for path in documents()])
def test_picture_is_well_formed_and_asks_nothing_of_the_net(text: str) -> None:
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg")
    assert "href" not in text
    assert "url(http" not in text


def test_phase_that_is_not_drawn_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(release.FORWARD, "settling")
    with pytest.raises(AssertionError, match="settling"):
        release.draw()
