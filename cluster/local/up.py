"""Start a stack, or adopt the one that runs and add what it lacks."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import replace

import psutil

from cluster.local import envfile, launch, processes, redis_choice
from cluster.local.config import LocalConfig, Part, Ports, default_head_cpus
from cluster.local.errors import StackError
from cluster.local.interrupts import Interrupts
from cluster.local.listeners import require_free
from cluster.local.records import Desired, Observed
from cluster.local.reporter import Reporter
from cluster.local.stack import END_WAIT_S, Stack, await_end
from cluster.local.startup import DesiredFile, bring_up, tasks
from cluster.local.state import State
from cluster.local.teardown import finish
from cluster.local.token import ensure_token

PART_PORTS: dict[Part, tuple[str, ...]] = {
    "redis": ("redis",),
    "mlflow": ("mlflow",),
    "ray": ("gcs", "dashboard", "ray_client", "autoscaler_metrics", "dashboard_metrics"),
    "gateway": ("gateway", "grpc", "haproxy_metrics", "haproxy_stats", "fallback", "fallback_grpc"),
}


def up(config: LocalConfig | None = None, *, attached: bool = False, reporter: Reporter | None = None) -> Stack:
    """Bring the stack to ``config`` and wait until every part is healthy.

    Interrupted or killed before that, a stack that this call started ends with all its processes. ``attached``
    extends this to the caller's life: the stack ends with :meth:`Stack.close` or with the caller, however it dies.

    Raises:
        StackError: what was asked cannot be had; a stack that this call started has ended again.
    """
    config, reporter = config or LocalConfig(), reporter or Reporter()
    state = State(config.state_dir)
    state.claim()
    with Interrupts() as interrupts, state.lock(reporter.note):
        state.create()
        running = _running(state, reporter)
        if running is None:
            return _start(state, config, attached, reporter, interrupts)
        if attached:
            raise StackError(f"A stack already runs in {state.root}, detached; end it with `down` first.")
        return _adopt(state, config, running, reporter, interrupts)


def _start(state: State, config: LocalConfig, attached: bool, reporter: Reporter, interrupts: Interrupts) -> Stack:
    ports = config.ports or Ports()
    external = redis_choice.external(os.environ, ports.redis, None) if "redis" in config.parts else None
    require_free(_ports(ports, config.parts, own_redis=external is None))
    if "ray" in config.parts:
        ensure_token()
        state.prune_sessions()
    desired = Desired(
        stack_id=secrets.token_hex(8),
        ports=ports,
        parts=config.parts,
        head_cpus=config.head_cpus or default_head_cpus(),
        gateway_import_path=config.gateway_import_path,
        releases_import_path=config.releases_import_path,
        redis_url=external[0] if external else None,
        node_cpus=(config.cpus_per_node,) * (config.nodes or 0),
    )
    _settle_redis(state, desired, external)
    secret = envfile.load_secrets(state, desired, os.environ)
    desired_file = DesiredFile(state, desired)
    desired.write(state.desired_file)
    popen, hold = launch.spawn(state, desired)
    process = psutil.Process(popen.pid)

    def stop_reason() -> str | None:
        interrupts.check()
        return f"the supervisor has ended\n{state.log_tail('supervisor')}" if popen.poll() is not None else None

    try:
        bring_up(tasks(desired_file, secret), desired_file, config.timeout_s, reporter, stop_reason)
        envfile.publish(state, desired_file.desired, secret)
        interrupts.check()
        os.write(hold, launch.HEALTHY if attached else launch.RELEASE)
    except BrokenPipeError:
        os.close(hold)
        raise StackError(stop_reason() or "the supervisor has ended") from None
    except BaseException:
        os.close(hold)
        reporter.note("ending what was started")
        await_end(process)
        raise
    if not attached:
        os.close(hold)
    _await_phase(state, process)
    return _stack(state, desired_file.desired, process, hold if attached else None, adopted=False)


def _adopt(
    state: State, config: LocalConfig, running: psutil.Process, reporter: Reporter, interrupts: Interrupts
) -> Stack:
    desired = Desired.read(state.desired_file)
    assert desired is not None, "a running supervisor has its stack.json"
    for name, asked, has in (
        ("ports", config.ports, desired.ports),
        ("head CPUs", config.head_cpus, desired.head_cpus),
    ):
        if asked is not None and asked != has:
            raise StackError(f"The stack in {state.root} runs with {name} {has}, not {asked}; `down` first.")
    external = None
    if "redis" in config.parts:
        external = redis_choice.external(os.environ, desired.ports.redis, desired.stack_id)
        if "redis" in desired.parts and (external[0] if external else None) != desired.redis_url:
            raise StackError(
                f"The stack in {state.root} uses {desired.redis_address}, TIDEGATE_REDIS_URL says "
                f"{os.environ.get('TIDEGATE_REDIS_URL')}; `down` first or unset it."
            )
    added = config.parts - desired.parts
    require_free(_ports(desired.ports, added, own_redis=external is None), desired.stack_id)
    if "redis" in added:
        desired = replace(desired, redis_url=external[0] if external else None)
        _settle_redis(state, desired, external)
    if "ray" in added:
        ensure_token()
    missing = max((config.nodes or 0) - len(desired.node_cpus), 0)
    desired_file = DesiredFile(
        state,
        replace(
            desired,
            parts=desired.parts | config.parts,
            gateway_import_path=config.gateway_import_path,
            releases_import_path=config.releases_import_path,
            node_cpus=desired.node_cpus + (config.cpus_per_node,) * missing,
        ),
    )
    desired_file.desired.write(state.desired_file)
    secret = envfile.load_secrets(state, desired_file.desired, {})

    def stop_reason() -> str | None:
        interrupts.check()
        return None if processes.alive(running) else f"the supervisor has ended\n{state.log_tail('supervisor')}"

    bring_up(tasks(desired_file, secret), desired_file, config.timeout_s, reporter, stop_reason)
    envfile.publish(state, desired_file.desired, secret)
    return _stack(state, desired_file.desired, running, None, adopted=True)


def _running(state: State, reporter: Reporter) -> psutil.Process | None:
    """Returns the live supervisor of this folder. One that is ending is waited for; what a dead one left is ended."""
    deadline, told = time.monotonic() + END_WAIT_S, False
    while time.monotonic() < deadline:
        observed = Observed.read(state.observed_file)
        process = processes.supervisor(observed.pid, observed.stack_id) if observed else None
        if observed is None or process is None:
            left = Desired.read(state.desired_file)
            if left is not None and (count := finish(state, left.stack_id)):
                reporter.note(f"ended {count} processes that an earlier stack had left")
            return None
        if observed.phase == "running":
            return process
        if not told:
            reporter.note(f"waiting for the end of the earlier stack (pid {process.pid})")
            told = True
        time.sleep(0.1)
    raise StackError(f"The earlier stack in {state.root} does not end; try `down`.")


def _ports(ports: Ports, parts: frozenset[Part], *, own_redis: bool) -> dict[str, int]:
    names = [name for part in sorted(parts) if part != "redis" or own_redis for name in PART_PORTS[part]]
    return {f"--{name.replace('_', '-')}-port": getattr(ports, name) for name in names}


def _settle_redis(state: State, desired: Desired, external: tuple[str, str | None] | None) -> None:
    if external is not None:
        envfile.save_redis_password(state, external[1])
    elif "redis" in desired.parts:
        redis_choice.server_binary()  # refuse now, not in the supervisor


def _await_phase(state: State, process: psutil.Process) -> None:
    """Wait until the supervisor has heard that all are healthy, so that ``status`` says it too."""
    deadline = time.monotonic() + END_WAIT_S
    while (observed := Observed.read(state.observed_file)) is None or observed.phase != "running":
        if time.monotonic() > deadline or not processes.alive(process):
            raise StackError(f"The supervisor (pid {process.pid}) does not answer.")
        time.sleep(0.02)


def _stack(state: State, desired: Desired, process: psutil.Process, hold: int | None, *, adopted: bool) -> Stack:
    return Stack(state.root, desired.ports, adopted, envfile.read(state), process, hold)
