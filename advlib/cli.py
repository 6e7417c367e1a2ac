"""The `advlib` command."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.command(arguments)
    except ValueError as error:
        print(f"advlib: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="advlib", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="execute studies; complete runs are skipped")
    run.add_argument("studies", nargs="*", metavar="STUDY", help="notebooks by name; default: all")
    run.add_argument(
        "-p", nargs=2, action="append", default=[], dest="given", metavar=("NAME", "VALUE"),
        help="set a parameter, as papermill does (the value is YAML)",
    )  # fmt: skip
    run.add_argument(
        "--profile", choices=("quick", "paper"), default="quick",
        help="quick: the notebook's defaults; paper: those of notebooks/paper/STUDY.yaml",
    )  # fmt: skip
    run.add_argument("--out", type=Path, default=Path("runs"), help="folder for the runs")
    run.set_defaults(command=_run)

    build = commands.add_parser("book", help="render the site from the default runs")
    build.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    build.add_argument(
        "--allow-stale", action="store_true",
        help="take a study's stored notebook where no run matches the present code",
    )  # fmt: skip
    build.set_defaults(command=_book)

    publish = commands.add_parser("publish", help="make a run a published page of the book")
    publish.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    publish.add_argument("--as", default="", dest="page", metavar="PAGE",
                         help="the page's name; default: the study's")  # fmt: skip
    publish.set_defaults(command=_publish)

    keep = commands.add_parser("store", help="store the default runs' outputs in notebooks/")
    keep.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs")
    keep.set_defaults(command=_store)
    return parser


# Each command imports what it needs: `advlib --help` should not wait for torch.


def _run(arguments: argparse.Namespace) -> int:
    from advlib.batch import execute, plan

    overrides = {name: yaml.safe_load(value) for name, value in arguments.given}
    failures = execute.run(
        plan.plan(arguments.studies, overrides, profile=arguments.profile), out=arguments.out
    )
    for failure in failures:
        print(f"advlib: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _book(arguments: argparse.Namespace) -> int:
    from advlib import book

    index = book.build(runs=arguments.runs, allow_stale=arguments.allow_stale)
    print(f"The book is in {index}")
    return 0


def _publish(arguments: argparse.Namespace) -> int:
    from advlib import book

    print(f"Published as {book.publish(arguments.run, arguments.page)}")
    return 0


def _store(arguments: argparse.Namespace) -> int:
    from advlib import book

    for notebook in book.store_outputs(runs=arguments.runs):
        print(f"Stored {notebook}")
    return 0
