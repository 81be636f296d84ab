"""The part that every benchmark shares: ``--json`` and ``--plot``, what is printed, the verdict, the exit code."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer
import typer.core
from rich.console import Console, RenderableType
from rich.text import Text

from app.errors import InvalidArgumentError, TidegateError
from app.exit_codes import DONE, FAILED
from app.terminal import console
from jobs.cli.options import option, with_options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")


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


def benchmark(options: type[T], measure: Callable[[T, Console], Report]) -> typer.Typer:
    """Returns the command of a benchmark, whose help is the docstring of the module of ``measure``.

    Args:
        options: a dataclass; its fields are the benchmark's own options.
        measure: measures, showing on the console what is going on. It raises InvalidArgumentError where the value of
            an option is not accepted, and another TidegateError where nothing can be measured.
    """

    def command(
        context: typer.Context,
        json_file: Annotated[
            Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON, too.")
        ] = None,
        plot: Annotated[
            Path | None, typer.Option(metavar="FILE", help="Draw them (PNG, SVG or PDF by the name).")
        ] = None,
        **own: Any,
    ) -> int:
        output, load_before = console(), os.getloadavg()
        report = measure(options(**own), output)
        if plot and report.draw is None:
            raise InvalidArgumentError(f"--plot {plot}: {context.info_name} draws no figure of what was asked for")
        load_after = os.getloadavg()
        for each in report.shown:
            output.print(each)
        output.print(f"{os.cpu_count()} cores; load average {load_before[0]:.1f} before, {load_after[0]:.1f} after")
        for sentence in report.broken:
            output.print(Text(f"does not hold: {sentence}", style="red"), soft_wrap=True)
        if json_file:
            machine = {
                "cores": os.cpu_count(),
                "load_before": load_before,
                "load_after": load_after,
                "platform": platform.platform(),
                "python": platform.python_version(),
            }
            document = {"machine": machine, "broken": report.broken, **report.document}
            json_file.write_text(json.dumps(document, indent=1))
        if plot and report.draw is not None:
            report.draw().savefig(plot, dpi=150)
        return FAILED if report.broken else DONE

    hints = get_type_hints(options, include_extras=True)
    with_options(
        command,
        [
            option(
                each.name,
                hints[each.name],
                each.default if each.default_factory is MISSING else each.default_factory(),
            )
            for each in fields(options)  # type: ignore[arg-type]
        ],
    )
    app = typer.Typer(add_completion=False)
    paragraphs = (sys.modules[measure.__module__].__doc__ or "").split("\n\n")
    unwrapped = "\n\n".join(" ".join(each.split()) for each in paragraphs)  # the terminal's width breaks the lines
    app.command(help=unwrapped, cls=_Command)(command)
    return app


class _Command(typer.core.TyperCommand):
    """A command whose lists may be given with one option, ``--only saving memory``, or by repeating it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        lists = {name for param in self.params if getattr(param, "multiple", False) for name in param.opts}
        return super().parse_args(ctx, list(_repeated(args, lists)))


def _repeated(arguments: Sequence[str], lists: set[str]) -> Iterator[str]:
    """Yield the arguments, with the option's name before each further value of a list."""
    before, name = "", ""
    for word in arguments:
        if word.startswith("-"):
            name = word
        elif name in lists and before != name:
            yield name
        yield word
        before = word
