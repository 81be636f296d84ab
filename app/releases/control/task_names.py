"""Names of the controller's background tasks: one of a name runs at a time, and its last error is found by it."""

from __future__ import annotations


def deploy_task(model: str, version: str) -> str:
    """Name of the task that deploys a version."""
    return f"deploy {model} version {version}"


def take_down_task(model: str, version: str) -> str:
    """Name of the task that drains and deletes a version."""
    return f"take down {model} version {version}"


def move_inline_task(model: str, version: str) -> str:
    """Name of the task that moves a version into the gateway replicas."""
    return f"move {model} version {version} inline"


def read_back_task(model: str) -> str:
    """Name of the task that asks the gateway replicas which table they follow."""
    return f"read-back of {model}"


def notes_task(release: str) -> str:
    """Name of the task that writes a release's notes to the registry."""
    return f"notes of {release}"
