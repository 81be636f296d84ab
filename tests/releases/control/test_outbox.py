from __future__ import annotations

from typing import Any, cast

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from app.releases.control.outbox import deliver
from app.releases.lifecycle.machine import decide
from app.releases.model.release import Note, Release
from tests.releases.documents import release
from tests.releases.lifecycle.test_machine import AT_ALL, BACK, seen


class Aliases(dict[str, str]):
    """A registry that holds aliases, and takes tags."""

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        if alias not in self:
            raise MlflowException("no such alias", RESOURCE_DOES_NOT_EXIST)
        return ModelVersion(name, self[alias], 0)

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self[alias] = version

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        del self[alias]

    def set_model_version_tag(self, *_: str) -> None:
        pass


def delivered(held: Release, aliases: Aliases) -> Aliases:
    """After all of its notes, each of them twice."""
    for note in held.outbox:
        for _ in range(2):
            deliver(cast(MlflowClient, aliases), held.model, note)
    return aliases


PROMOTED = decide(release(phase="settling"), seen(**AT_ALL, delivered=0)).release
TAKEN_BACK = decide(release(phase="restoring", **BACK), seen(delivered=0)).release
FIRST: dict[str, Any] = {"champion": None, "before": {}}
FIRST_TAKEN_BACK = decide(
    release(phase="restoring", given_alias=True, **BACK, **FIRST), seen(weights={"2": 0.0}, delivered=0)
).release


@pytest.mark.parametrize(
    ("held", "before", "after"),
    [
        (PROMOTED, {"champion": "1", "challenger": "2"}, {"champion": "2"}),
        (TAKEN_BACK, {"champion": "1", "challenger": "2"}, {"champion": "1"}),
        (TAKEN_BACK, {"champion": "1"}, {"champion": "1"}),
        (FIRST_TAKEN_BACK, {"champion": "2", "challenger": "2"}, {}),
        # moved by hand while the release ran: a request for the next one, which waits for its turn
        (PROMOTED, {"champion": "1", "challenger": "3"}, {"champion": "2", "challenger": "3"}),
        (TAKEN_BACK, {"champion": "1", "challenger": "3"}, {"champion": "1", "challenger": "3"}),
        (FIRST_TAKEN_BACK, {"champion": "3"}, {"champion": "3"}),
    ],
)
def test_a_release_deletes_only_an_alias_that_points_to_its_version(
    held: Release, before: dict[str, str], after: dict[str, str]
) -> None:
    assert delivered(held, Aliases(before)) == after


def test_an_alias_that_points_to_nothing_stays_without_a_version() -> None:
    deliver(
        cast(MlflowClient, aliases := Aliases()), "flights", Note(kind="alias", name="a", version=None, value="2")
    )
    assert aliases == {}
