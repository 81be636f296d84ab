"""``tidegate local``."""

import argparse

from cluster.local import cli
from jobs.cli.pass_on import pass_on


def _main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tidegate")
    cli.add_parser(parser.add_subparsers(dest="verb", required=True))
    options = parser.parse_args(["local", *arguments])
    return int(options.run(options))


app = pass_on(_main)
