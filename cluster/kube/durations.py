"""Durations for ``type=`` of :mod:`argparse`."""

from __future__ import annotations

import argparse

import typer

from cluster.kube.options import duration


def seconds(text: str) -> float:
    """Seconds, as :func:`cluster.kube.options.duration` reads them."""
    try:
        return duration(text)
    except typer.BadParameter as error:
        raise argparse.ArgumentTypeError(error.message) from error
