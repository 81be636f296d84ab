"""The Dockerfile against the repository, the manifests and the lock."""

from __future__ import annotations

import fnmatch
import importlib.metadata
import re
import shlex
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.cluster.manifests.pods import containers, pods
from tests.cluster.manifests.rendering import CLUSTER, render

ROOT = CLUSTER.parent
OF_GPUS = ("nvidia-", "cuda-", "triton")
"""Which torch brings with CUDA, pinned by torch itself."""


def instructions() -> list[tuple[str, str]]:
    """Instruction and arguments, in order, lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (CLUSTER / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())]


def of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def test_image_stages_share_one_base() -> None:
    known = {"ARG", "FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "CMD"}
    assert {name for name, _ in instructions()} == known
    assert instructions()[0] == ("ARG", "BASE_IMAGE=python:3.11-slim")
    assert of("FROM") == ["${BASE_IMAGE} AS build", "${BASE_IMAGE}"]


def test_sources_of_copies_exist_and_are_not_ignored() -> None:
    rules = (ROOT / ".dockerignore").read_text().split()
    assert rules[0] == "*"
    for copied in of("COPY"):
        parts = shlex.split(copied)
        if parts[0].startswith("--from="):
            assert parts[0] == "--from=build"
            continue
        for source in parts[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in rules, f"{source} is kept from the builder by .dockerignore"
    assert any(fnmatch.fnmatch("app/__pycache__", rule) for rule in rules if rule != "*")


def test_image_user_equals_that_of_the_pods() -> None:
    user = of("USER")[-1]
    found = {
        f"{context['runAsUser']}:{context['runAsGroup']}"
        for name in ("gpu+ha", "training-job")
        for context in (pod.spec["securityContext"] for pod in pods(render(name)))
    }
    assert found == {user}
    uid, gid = user.split(":")
    made = " ".join(of("RUN"))
    assert f"--gid {gid} tidegate" in made
    assert f"--uid {uid} --gid {gid}" in made


def test_home_of_the_image_is_a_mounted_volume() -> None:
    environment = dict(each.split("=", 1) for each in shlex.split(" ".join(of("ENV"))))
    ray = [each for each in containers(render("gpu+ha")) if each.name in ("ray-head", "ray-worker")]
    for container in ray:
        assert {each["name"]: each.get("value") for each in container.fields["env"]}["HOME"] == environment["HOME"]
    assert environment["PATH"].startswith("/opt/tidegate/bin:")


def test_commands_of_containers_are_in_the_image() -> None:
    made = " ".join(of("RUN"))
    assert re.search(r"install -m 0755 .*get_binary_path.* /usr/local/bin/valkey-server", made)
    for script in ("mlflow", "ray"):
        entries = importlib.metadata.entry_points(group="console_scripts", name=script)
        assert entries, f"no installed package brings {script}"


def test_lock_file_pins_every_requirement() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {
        canonicalize_name(line.partition("==")[0])
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line
    }
    waiting = [Requirement(each) for each in [*project["dependencies"], *project["optional-dependencies"]["cluster"]]]
    seen: set[tuple[str, frozenset[str]]] = set()
    missing = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        if name not in pinned and not name.startswith(OF_GPUS):
            missing.add(name)
            continue
        if name.startswith(OF_GPUS):
            continue
        for text in importlib.metadata.requires(name) or []:
            needed = Requirement(text)
            environments = [{"extra": extra} for extra in extras or {""}]
            if needed.marker is None or any(needed.marker.evaluate(each) for each in environments):
                waiting.append(needed)
    assert missing == {"setuptools"}  # which a venv of Python 3.11 brings
    assert len(seen) > 100


@pytest.mark.parametrize("word", [":latest", ".io/", "ghcr", "quay"])
def test_images_have_no_moving_tag(word: str) -> None:
    assert word not in (CLUSTER / "Dockerfile").read_text()
