"""Makes a release's notes in the registry."""

from __future__ import annotations

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from app.registry import RegistryError, alias
from app.releases.model.release import Note


def deliver(client: MlflowClient, model: str, note: Note) -> None:
    """Writes one note to the registry; written again it changes nothing. Blocks.

    Raises:
        RegistryError: the registry did not take it.
    """
    try:
        if note.kind == "tag":
            client.set_model_version_tag(model, note.version, note.name, note.value)
        elif note.version is not None:
            client.set_registered_model_alias(model, note.name, note.version)
        elif alias(client, model, note.name) == note.value:
            client.delete_registered_model_alias(model, note.name)
    except MlflowException as error:
        raise RegistryError(f"{note.kind} {note.name} of {model}: {error}") from error
