"""The part that every benchmark shares: ``--json`` and ``--plot``, what is printed, the verdict, the exit code."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from rich.console import Console, RenderableType
from rich.text import Text

from app import exit_codes
from app.errors import InvalidArgumentError, TidegateError
from app.terminal import console, exit_code_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]


class BenchError(TidegateError):
    """A benchmark cannot measure: a process does not start, does not answer in time, or answers wrongly."""


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of one benchmark.

    Attributes:
        shown: tables and lines for people, in their order.
        document: the figures for ``--json``.
        broken: what does not hold of what is promised, one sentence each.
        draw: makes the figure of ``--plot``.
    """

    shown: Sequence[RenderableType]
    document: Mapping[str, Any]
    broken: Sequence[str] = ()
    draw: Callable[[], Figure] | None = None


class Benchmark(Protocol):
    """A module that measures something. Its docstring is the help."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the benchmark's own options."""

    def measure(self, options: argparse.Namespace, console: Console) -> Report:
        """Measure, showing on ``console`` what is going on.

        Raises:
            InvalidArgumentError: an option's value is not accepted.
            TidegateError: nothing could be measured.
        """


def run(name: str, module: str, argv: Sequence[str]) -> int:
    """Run the benchmark in ``module`` and return the exit code: 0 every promise holds, 1 not, 2 wrong arguments."""
    return exit_code_of(lambda: _run(name, _load(name, module), argv), highest=exit_codes.NOT_UNDERSTOOD)


def _load(name: str, module: str) -> Benchmark:
    if module.startswith("tests."):
        if not (ROOT / "tests").is_dir():
            raise InvalidArgumentError(
                f"{name} is one of the repository's tests: run it from a clone, not from {ROOT}"
            )
        if str(ROOT) not in sys.path:
            sys.path.append(str(ROOT))
    return cast(Benchmark, importlib.import_module(module))


def _run(name: str, benchmark: Benchmark, argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=f"python -m jobs.bench {name}",
        description=benchmark.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    benchmark.add_options(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON, too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them (PNG, SVG or PDF by the name)")
    options = parser.parse_args(argv)
    output, load_before = console(), os.getloadavg()
    report = benchmark.measure(options, output)
    if options.plot and report.draw is None:
        raise InvalidArgumentError(f"--plot {options.plot}: {name} draws no figure of what was asked for")
    machine = {
        "cores": os.cpu_count(),
        "load_before": load_before,
        "load_after": os.getloadavg(),
        "platform": platform.platform(),
        "python": platform.python_version(),
    }
    for each in report.shown:
        output.print(each)
    output.print(f"{os.cpu_count()} cores; load average {load_before[0]:.1f} before, {os.getloadavg()[0]:.1f} after")
    for sentence in report.broken:
        output.print(Text(f"does not hold: {sentence}", style="red"), soft_wrap=True)
    if options.json:
        document = {"machine": machine, "broken": report.broken, **report.document}
        options.json.write_text(json.dumps(document, indent=1))
    if options.plot and report.draw is not None:
        report.draw().savefig(options.plot, dpi=150)
    return exit_codes.FAILED if report.broken else exit_codes.DONE
