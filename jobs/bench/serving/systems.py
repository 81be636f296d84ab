"""The servers under test: how each is started, which ways to an answer it has, and its end."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx
from dotenv import dotenv_values

from jobs.bench.children import Child, ServerError, clean_environment, free_port
from jobs.bench.environments import Environment
from jobs.bench.serving.accounting import MARK
from jobs.bench.serving.measure import Arm
from jobs.bench.serving.v2_request import Target, encode
from jobs.bench.serving.verdicts import CACHED, DEDICATED, HOP, INLINE, LOOKED_UP

HOST = "127.0.0.1"
MODEL = "bench"
START_S = 180.0
ANSWER_S = 60.0
DEPLOY_S = 300.0
OTHER_KEY = "0" * 43
"""Sent to servers that have no keys: as long as ours."""
VERSIONS = {
    "dedicated": (DEDICATED, "2 versions, half the requests each"),
    "inline": (INLINE, "in the gateway's replicas"),
    "cache": (CACHED, "answered from the gateway's memory"),
    "features": (LOOKED_UP, "the caller names a user; one read of Redis"),
}
"""Arm and its detail, by what is deployed."""
BARE = {
    "serve ingress": f"/bare-ingress/v2/models/{MODEL}/infer",
    HOP: f"/bare-deployment/v2/models/{MODEL}/infer",
}
"""Arms of bare Serve and their paths."""
_HERE = Path(__file__).parent

Say = Callable[[str], None]


class System(Protocol):
    """A server under test. Started and stopped once."""

    name: str

    def start(self, folder: Path, say: Say) -> list[Arm]:
        """Start it and wait until every arm answers; ``folder`` is its own.

        Raises:
            ServerError: it does not start; what was started has ended.
        """

    def stop(self) -> None:
        """End it."""


def await_answer(child: Child, target: Target, timeout_s: float = ANSWER_S) -> None:
    """Block until ``target`` answers a request with 200.

    Raises:
        ServerError: the server ended, or it took too long.
    """
    request = encode(target)[0]
    content = request.raw.partition(b"\r\n\r\n")[2]
    url = f"http://{target.host}:{target.port}{target.path}"
    headers = {"authorization": f"Bearer {target.key}", "content-type": "application/json"}

    last = ""

    def answers() -> bool:
        nonlocal last
        try:
            reply = httpx.post(url, content=content, headers=headers, timeout=10)
        except httpx.TransportError as error:
            last = repr(error)
            return False
        last = f"{reply.status_code} {reply.text[:200]}"
        return reply.status_code == httpx.codes.OK

    try:
        child.wait_until(answers, timeout_s)
    except ServerError as error:
        raise ServerError(f"{url}: {last}; {error}") from None


@dataclass
class Server:
    """One process that answers V2 by itself.

    Args:
        command: from the folder and the port.
        environment: variables beside this process's own.
    """

    name: str
    detail: str
    command: Callable[[Path, int], Sequence[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    _child: Child | None = None

    def start(self, folder: Path, say: Say) -> list[Arm]:
        """See :class:`System`."""
        say(f"starting {self.name}")
        port = free_port()
        environ = clean_environment() | dict(self.environment) | {MARK: self.name}
        self._child = Child(self.name, self.command(folder, port), environ, folder / "log")
        target = Target(HOST, port, f"/v2/models/{MODEL}/infer", OTHER_KEY)
        try:
            await_answer(self._child, target)
        except ServerError:
            self.stop()
            raise
        return [Arm(self.name, target, self.name, self.detail)]

    def stop(self) -> None:
        """See :class:`System`."""
        if self._child is not None:
            self._child.stop()


@dataclass
class Cluster:
    """A local stack of our own, or the Ray part of it, with the Serve applications that are asked.

    Args:
        options: of ``tidegate local up``, ports among them.
        environment: variables beside this process's own, of the stack and of what is deployed on it.
    """

    name: str
    options: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    _child: Child | None = None
    _folder: Path = Path()

    def up(self, folder: Path, say: Say) -> dict[str, str]:
        """Start it and return what it left in ``stack.env``.

        Raises:
            ServerError: it does not start; what was started has ended.
        """
        say(f"starting {self.name}")
        self._folder = folder
        command = (sys.executable, "-m", "jobs.cli", "local", "up", "--foreground")
        environ = clean_environment() | dict(self.environment) | {MARK: self.name}
        where = ("--state-dir", str(self.state))
        self._child = Child(self.name, (*command, *where, *self.options), environ, folder / "log")
        try:
            self._child.wait_until(lambda: "TIDEGATE_RAY_ADDRESS" in self._left(), START_S)
        except ServerError:
            self.stop()
            raise
        return self._left()

    @property
    def state(self) -> Path:
        """The stack's state folder."""
        return self._folder / "state"

    def deploy(self, what: str, *options: str) -> None:
        """Run ``jobs.bench.serving.deploy`` beside it.

        Raises:
            ServerError: it failed.
        """
        environ = clean_environment() | dict(self.environment) | {"TIDEGATE_STATE_DIR": str(self.state)}
        command = (sys.executable, "-m", "jobs.bench.serving.deploy", what, *options)
        Child(f"deploying {what}", command, environ, self._folder / f"deploy-{what}.log").finish(DEPLOY_S)

    def await_answers(self, arms: Sequence[Arm]) -> list[Arm]:
        """Block until every arm answers.

        Raises:
            ServerError: one does not.
        """
        assert self._child is not None
        for arm in arms:
            await_answer(self._child, arm.target)
        return list(arms)

    def stop(self) -> None:
        """End it and wait until it is gone."""
        if self._child is not None:
            self._child.stop(ask=signal.SIGINT, grace_s=100)

    def _left(self) -> dict[str, str]:
        file = self.state / "stack.env"
        return {name: value or "" for name, value in dotenv_values(file, interpolate=False).items()}


@dataclass
class Tidegate:
    """The whole local stack: the gateway with versions of their own, inline ones where wanted, and bare Serve beside.

    Args:
        ports: options of ``tidegate local up``.
        parts: of ``dedicated``, ``inline``, ``cache``, ``features`` and ``serve``. A gateway replica that has never
            had an inline model is another one as to memory.
    """

    ports: tuple[str, ...]
    parts: frozenset[str]
    name: str = "tidegate"
    _cluster: Cluster | None = None

    def start(self, folder: Path, say: Say) -> list[Arm]:
        """See :class:`System`."""
        # Fixed sizes: a replica that starts in the middle of a measurement costs two seconds of CPU.
        fixed = {
            "TIDEGATE_GATEWAY_MIN_REPLICAS": "2",
            "TIDEGATE_GATEWAY_MAX_REPLICAS": "2",
            "TIDEGATE_SERVING_MIN_REPLICAS": "1",
            "TIDEGATE_SERVING_MAX_REPLICAS": "1",
        }
        self._cluster = cluster = Cluster(self.name, self.ports, fixed)
        try:
            left = cluster.up(folder, say)
            key, port = left["TIDEGATE_GATEWAY_ADMIN_KEY"], int(left["TIDEGATE_GATEWAY_URL"].rpartition(":")[2])

            def arm(name: str, path: str, detail: str, looked_up: bool = False) -> Arm:
                return Arm(name, Target(HOST, port, path, key, looked_up), self.name, detail)

            arms: list[Arm] = []
            for part, (name, detail) in VERSIONS.items():
                if part in self.parts:
                    say(f"deploying {name}")
                    cluster.deploy(part)
                    arms.append(arm(name, f"/v2/models/bench-{part}/infer", detail, looked_up=part == "features"))
            if "serve" in self.parts:
                say("deploying bare Serve")
                cluster.deploy("bare")
                arms += [arm(name, path, "HAProxy") for name, path in BARE.items()]
            return cluster.await_answers(arms)
        except ServerError:
            self.stop()
            raise

    def stop(self) -> None:
        """See :class:`System`."""
        if self._cluster is not None:
            self._cluster.stop()


@dataclass
class PlainServe:
    """Bare Ray Serve as it comes: its own proxy, no HAProxy, no throughput mode."""

    ports: tuple[str, ...]
    port: int
    name: str = "serve without HAProxy"
    _cluster: Cluster | None = None

    def start(self, folder: Path, say: Say) -> list[Arm]:
        """See :class:`System`."""
        plain = {"RAY_SERVE_ENABLE_HA_PROXY": "0", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "0"}
        self._cluster = cluster = Cluster(self.name, ("--parts", "ray", *self.ports), plain)
        try:
            cluster.up(folder, say)
            say("deploying bare Serve")
            cluster.deploy("bare", "--port", str(self.port))
            return cluster.await_answers(
                [
                    Arm(f"{name}, no HAProxy", Target(HOST, self.port, path, OTHER_KEY), self.name, "as it comes")
                    for name, path in BARE.items()
                ]
            )
        except ServerError:
            self.stop()
            raise

    def stop(self) -> None:
        """See :class:`System`."""
        if self._cluster is not None:
            self._cluster.stop()


def uvicorn() -> Server:
    """FastAPI on uvicorn, and nothing else."""

    def command(folder: Path, port: int) -> Sequence[str]:
        options = ("--host", HOST, "--port", str(port), "--no-access-log", "--log-level", "warning")
        return sys.executable, "-m", "uvicorn", "jobs.bench.serving.bare:api", *options

    return Server("uvicorn + FastAPI", "bare", command)


def mlserver(environment: Environment) -> Server:
    """MLServer with a custom runtime and no worker processes."""

    def command(folder: Path, port: int) -> Sequence[str]:
        settings = {
            "host": HOST,
            "http_port": port,
            "grpc_port": free_port(),
            "metrics_port": free_port(),
            "parallel_workers": 0,
            "debug": False,
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / "model-settings.json").write_text(json.dumps({"name": MODEL, "implementation": "mlserver_dot.Dot"}))
        return str(environment.binary("mlserver")), "start", str(folder)

    return Server("mlserver", "workers=0", command, _PEER_PATH)


def kserve(environment: Environment) -> Server:
    """KServe's model server with a custom model."""

    def command(folder: Path, port: int) -> Sequence[str]:
        return str(environment.binary("python")), str(_HERE / "peers" / "kserve_dot.py"), str(port)

    return Server("kserve", "V2", command, _PEER_PATH)


_PEER_PATH = {"PYTHONPATH": f"{_HERE / 'model'}:{_HERE / 'peers'}"}
