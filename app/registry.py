"""The model registry: what Tidegate asks of MLflow, and nothing else of the application does.

A version is logged from files ("models from code", weights as safetensors): what MLflow stores needs no pickle to
load. Loading executes the logged script, so whoever may write to the registry may run code in the replicas.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.pyfunc import PyFuncModel
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types import TensorSpec as MlflowTensorSpec

from app.errors import FailedPreconditionError, NotFoundError, UnavailableError
from app.model_spec import FieldSpec, ModelSpec, ParameterSpec
from app.settings import MlflowSettings

SERVING_TAG = "tidegate.serving"
FEATURES_KEY = "tidegate.features"
FEATURE_VIEWS_KEY = "tidegate.feature_views"

_ABSENT = (ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), "INVALID_PARAMETER_VALUE")
"""What MLflow says where it answers, and does not hold what was asked for."""


class RegistryError(UnavailableError):
    """MLflow is away, or does not hold what was asked for; the message says which."""


class UnknownVersionError(NotFoundError, RegistryError):
    """No such model, version or alias."""


class UnservableError(FailedPreconditionError, RegistryError):
    """The registry answers, and what it holds of a model or version cannot be served; the message says why."""


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A trained model as files, ready to be logged (MLflow "models from code": no pickle).

    Attributes:
        script: Python file that ends in ``mlflow.models.set_model(...)`` of a ``PythonModel``.
        code: further Python files that the script imports as top-level modules.
        artifacts: name -> file or folder, handed to ``PythonModel.load_context``.
        signature: columns or tensors in and out.
        example: a few valid input rows; a server warms itself with them.
        features: names of the input columns that are features (looked up or computed), not part of the plain
            request.
        feature_views: declarations of the views that make ``features``, as plain values
            (``app.features.to_document``): a server looks them up without the recipe.
        requirements: pip requirements of the script.
        metadata: plain values that travel with the model.
    """

    script: Path
    code: tuple[Path, ...]
    artifacts: Mapping[str, Path]
    signature: ModelSignature
    example: pd.DataFrame
    features: tuple[str, ...] = ()
    feature_views: tuple[Mapping[str, Any], ...] = ()
    requirements: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A version in memory: its specification, its scoring function and an example request, if it has one."""

    spec: ModelSpec
    pyfunc: PyFuncModel
    example: Any


def connect(settings: MlflowSettings) -> MlflowClient:
    """Points MLflow at the configured registry, with few and short retries, and returns a client.

    Raises:
        RegistryError: it does not answer.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    mlflow.set_tracking_uri(settings.tracking_uri)
    mlflow.set_registry_uri(settings.tracking_uri)
    client = MlflowClient(settings.tracking_uri, settings.tracking_uri)
    try:
        client.search_experiments(max_results=1)
    except MlflowException as error:
        raise RegistryError(
            f"MLflow at TIDEGATE_MLFLOW_TRACKING_URI={settings.tracking_uri} does not answer ({_first_line(error)}); "
            "start one with: tidegate local up"
        ) from error
    return client


def log_version(package: ModelPackage, model: str, tags: Mapping[str, str]) -> str:
    """Logs ``package`` to the active run and registers it as a new version of ``model``.

    Returns:
        The version's number, as MLflow writes it.
    """
    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(package.script),
        code_paths=[str(path) for path in package.code] or None,
        artifacts={name: str(path) for name, path in package.artifacts.items()},
        signature=package.signature,
        input_example=package.example,
        pip_requirements=list(package.requirements),
        metadata={
            **package.metadata,
            FEATURES_KEY: list(package.features),
            FEATURE_VIEWS_KEY: [dict(view) for view in package.feature_views],
        },
        registered_model_name=model,
    )
    version = str(info.registered_model_version)
    client = MlflowClient()
    for key, value in tags.items():
        client.set_model_version_tag(model, version, key, value)
    return version


def find(client: MlflowClient, model: str, version_or_alias: str) -> ModelVersion:
    """A version by number or alias.

    Raises:
        UnknownVersionError: there is none; the message names those there are.
        RegistryError: MLflow is away.
    """
    try:
        if version_or_alias.isdigit():
            return client.get_model_version(model, version_or_alias)
        return client.get_model_version_by_alias(model, version_or_alias)
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise RegistryError(f"version {version_or_alias} of {model}: {_first_line(error)}") from error
        found = [str(version.version) for version in client.search_model_versions(f"name='{model}'")]
        if not found:
            raise UnknownVersionError(f"the registry holds no model named {model}") from error
        raise UnknownVersionError(
            f"the registry holds no version {version_or_alias} of {model}; "
            f"it holds {', '.join(sorted(found, key=int))}"
        ) from error


def alias(client: MlflowClient, model: str, name: str) -> str | None:
    """The version that holds an alias, or None.

    Raises:
        RegistryError: MLflow is away.
    """
    try:
        return str(client.get_model_version_by_alias(model, name).version)
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return None
        raise RegistryError(f"alias {name} of {model}: {_first_line(error)}") from error


def model_tags(client: MlflowClient, model: str) -> Mapping[str, str]:
    """The tags of a registered model.

    Raises:
        UnknownVersionError: there is none of that name.
        RegistryError: MLflow is away.
    """
    try:
        return dict(client.get_registered_model(model).tags)
    except MlflowException as error:
        if error.error_code in _ABSENT:
            raise UnknownVersionError(f"the registry holds no model named {model}") from error
        raise RegistryError(f"model {model}: {_first_line(error)}") from error


def download(client: MlflowClient, model: str, version: str, folder: Path) -> Path:
    """Copies a version's files into ``folder``; returns their place in it.

    Raises:
        UnknownVersionError: there is no such version.
    """
    find(client, model, version)
    found = mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{model}/{version}", dst_path=str(folder))
    return Path(found)


def load(client: MlflowClient, model: str, version: str, files: Path | None = None) -> LoadedModel:
    """Loads a version, of whatever flavour, with its specification.

    Args:
        files: what ``download`` gave; None for a folder of MLflow's own, which stays.

    Raises:
        UnknownVersionError: there is no such version.
        UnservableError: it has no signature, or one that named tensors cannot express.
    """
    find(client, model, version)
    pyfunc = mlflow.pyfunc.load_model(str(files) if files is not None else f"models:/{model}/{version}")
    return LoadedModel(spec_of(model, version, pyfunc.metadata), pyfunc, pyfunc.input_example)


def read_spec(model: str, version: str) -> ModelSpec:
    """A version's specification, without loading it.

    Raises:
        UnservableError: it has no files of a logged model, no signature, or one that named tensors cannot express.
        RegistryError: the registry is away.
    """
    try:
        metadata = Model.load(f"models:/{model}/{version}")
    except MlflowException as error:
        kind = UnservableError if error.error_code in _ABSENT else RegistryError
        raise kind(f"version {version} of {model}: {_first_line(error)}") from error
    return spec_of(model, version, metadata)


def spec_of(model: str, version: str, metadata: Model) -> ModelSpec:
    """The specification in a logged model's metadata.

    Raises:
        UnservableError: it has no signature, or one that named tensors cannot express.
    """
    signature = metadata.signature
    if signature is None or signature.inputs is None:
        raise UnservableError(f"version {version} of {model} was logged without a signature; log it with one")
    where = f"version {version} of {model}"
    travelled: Mapping[str, Any] = metadata.metadata or {}
    features: Sequence[str] = travelled.get(FEATURES_KEY, ())
    return ModelSpec(
        model=model,
        version=version,
        inputs=_fields(signature.inputs, f"{where}, input", "input"),
        outputs=_fields(signature.outputs, f"{where}, output", "output") if signature.outputs is not None else (),
        columns=not signature.inputs.is_tensor_spec(),
        features=tuple(features),
        parameters=tuple(
            ParameterSpec(param.name, _parameter_dtype(where, param), param.shape is not None)
            for param in (signature.params.params if signature.params is not None else ())
        ),
        feature_views=tuple(travelled.get(FEATURE_VIEWS_KEY, ())),
    )


def _parameter_dtype(where: str, param: Any) -> str:
    dtype = _COLUMN_DTYPES.get(param.dtype) if isinstance(param.dtype, DataType) else None
    if dtype is None or dtype == "bytes":
        accepted = ", ".join(known.name for known, name in _COLUMN_DTYPES.items() if name != "bytes")
        raise UnservableError(f"{where}, parameter {param.name} has type {param.dtype}; accepted are {accepted}")
    return dtype


def _fields(schema: Schema, where: str, default: str) -> tuple[FieldSpec, ...]:
    found = []
    for index, spec in enumerate(schema.inputs):
        name = spec.name or (default if len(schema.inputs) == 1 else f"{default}-{index}")
        if isinstance(spec, MlflowTensorSpec):
            dtype = "str" if spec.type.kind in "UO" else spec.type.name
            found.append(FieldSpec(name, dtype, tuple(spec.shape), spec.required))
        elif isinstance(spec, ColSpec) and isinstance(spec.type, DataType) and spec.type != DataType.datetime:
            found.append(FieldSpec(name, _COLUMN_DTYPES[spec.type], required=spec.required))
        else:
            raise UnservableError(
                f"{where} {name} has type {spec.type}; accepted are tensors and columns of the types "
                + ", ".join(dtype.name for dtype in _COLUMN_DTYPES)
            )
    return tuple(found)


_COLUMN_DTYPES = {
    DataType.boolean: "bool",
    DataType.integer: np.dtype(np.int32).name,
    DataType.long: np.dtype(np.int64).name,
    DataType.float: np.dtype(np.float32).name,
    DataType.double: np.dtype(np.float64).name,
    DataType.string: "str",
    DataType.binary: "bytes",
}


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
