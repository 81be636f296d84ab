"""The registry as the look for requests sees it, and the marks that it leaves there. Blocks; for a thread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from app.registry import RegistryError, connect
from app.releases.model.release_request import RegisteredModel, RegisteredVersion, ReleaseRequest, requests_of
from app.releases.model.tags import CHALLENGER_ALIAS, PLAN_TAG
from app.settings import MlflowSettings

PAGE = 100
TAG_LENGTH = 4000
"""Longest value of a tag that is written, characters (MLflow takes 5,000)."""
T = TypeVar("T")
_HAS_PLAN = f"tags.`{PLAN_TAG}` LIKE '%'"


@dataclass(slots=True)
class RegistryReader:
    """Two searches a look, and a question for every model and challenger that those did not tell of.

    All methods raise RegistryError when MLflow is away.
    """

    settings: MlflowSettings
    _client: MlflowClient | None = None

    def requests(self, served: Collection[str]) -> list[ReleaseRequest]:
        """The requests that the registry holds.

        Args:
            served: models that have a route table; of others only those are looked at that name a plan.
        """
        return self._query(lambda client: _requests(client, served))

    def mark(self, request: ReleaseRequest, outcome: str) -> None:
        """Writes the outcome of a request on its version."""
        self._query(
            lambda client: client.set_model_version_tag(
                request.model, request.version, request.mark, outcome[:TAG_LENGTH]
            )
        )

    def _query(self, question: Callable[[MlflowClient], T]) -> T:
        try:
            if self._client is None:
                self._client = connect(self.settings)
            return question(self._client)
        except MlflowException as error:
            self._client = None  # the next question begins with a short one, whose failure says what is wrong
            raise RegistryError(f"MLflow at {self.settings.tracking_uri}: {error}") from error


def _requests(client: MlflowClient, served: Collection[str]) -> list[ReleaseRequest]:
    # Aliases before tags: of an alias that a release has set, the release's tag is seen too.
    models = {each.name: each for each in _pages(client.search_registered_models)}
    versions = {(each.name, str(each.version)): each.tags for each in _pages(client.search_model_versions)}
    for name in {*served, *(model for model, _ in versions)} - models.keys():
        found = _found(partial(client.get_registered_model, name))
        if found is not None:
            models[name] = found
    seen = []
    for name, model in models.items():
        alias = model.aliases.get(CHALLENGER_ALIAS)
        challenger = None if alias is None else str(alias)
        seen.append(RegisteredModel(name, dict(model.tags), challenger))
        if challenger is not None and (name, challenger) not in versions:
            version = _found(partial(client.get_model_version, name, challenger))
            if version is not None:
                versions[name, challenger] = version.tags
    return requests_of(
        seen, [RegisteredVersion(model, version, dict(tags)) for (model, version), tags in versions.items()]
    )


def _pages(search: Callable[..., Any]) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = search(_HAS_PLAN, max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _found(ask: Callable[[], Any]) -> Any:
    """The answer; None where it was deleted meanwhile."""
    try:
        return ask()
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return None
        raise
