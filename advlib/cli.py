"""The `advlib` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from advlib.batch import Job


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    if argv is None:  # UTF-8, even where the locale is not
        argv = [os.fsencode(word).decode(errors="surrogateescape") for word in sys.argv[1:]]
    arguments = _parser().parse_args(argv)
    try:
        return arguments.command(arguments)
    except ValueError as error:
        print(f"advlib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("advlib: interrupted; the same command goes on with what is missing", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="advlib", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="execute studies; complete runs are skipped")
    run.add_argument("studies", nargs="*", metavar="STUDY", help="notebooks by name; default: all")
    run.add_argument(
        "-p", nargs=2, action="append", default=[], dest="given", metavar=("NAME", "VALUE"),
        help="set a parameter; a list stands in brackets, as in -p seeds '[0, 1]'",
    )  # fmt: skip
    run.add_argument(
        "--profile", choices=("quick", "paper"), default="quick",
        help="quick: the notebook's defaults; paper: those of notebooks/paper/STUDY.yaml, "
        "a run for each of its data sets",
    )  # fmt: skip
    run.add_argument(
        "--sweep", default="", metavar="NAME=VALUES,...",
        help="a job for each combination, as in seed=0..9,dataset=mnist,fashion_mnist",
    )  # fmt: skip
    run.add_argument(
        "--join", type=_path, action="append", default=[], metavar="RUN",
        help="folder of a run, or of a published page, with other seeds, which count, too",
    )  # fmt: skip
    run.add_argument("--out", default="runs", help="folder for the runs, or an fsspec address")
    run.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="jobs at a time (one a GPU, or as many as the cores have room for)",
    )
    run.add_argument("--threads", type=int, default=1, metavar="N",
                     help="threads of a job (1); another number gives other last bits")  # fmt: skip
    run.add_argument("--scheduler", default="", metavar="ADDRESS",
                     help="a Dask scheduler, or its file, in place of workers here")  # fmt: skip
    run.add_argument("--gpus", default="auto", help="auto, none, or numbers as in 0,2")
    run.add_argument("--dashboard", type=int, nargs="?", const=8787, metavar="PORT",
                     help="show Dask's page on this machine's loopback, at 8787")  # fmt: skip
    run.add_argument("--timeout", type=int, metavar="SECONDS", help="limit of a cell")
    run.add_argument("--memory", default="", metavar="SIZE", help="limit of a kernel, as in 8GB")
    run.add_argument("--dry-run", action="store_true", help="tell what would run")
    run.set_defaults(command=_run)

    runs = commands.add_parser("runs", help="list the runs, or delete some")
    runs.add_argument("--out", default="runs", help="where they are")
    runs.set_defaults(command=_runs)
    remove = runs.add_subparsers(metavar="rm").add_parser("rm", help="delete runs")
    remove.add_argument("--out", default=argparse.SUPPRESS, help="where they are")
    remove.add_argument(
        "--state", default="", help="only those: complete, failed, abandoned or damaged"
    )
    remove.add_argument("--older", default="", metavar="AGE", help="only those: 12h, 30 days")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    remove.set_defaults(command=_remove)

    build = commands.add_parser("book", help="render the site from the default runs")
    build.add_argument("--runs", type=_path, default=Path("runs"), help="folder of the runs")
    build.add_argument(
        "--allow-stale", action="store_true",
        help="take a study's stored notebook where no run matches the present code",
    )  # fmt: skip
    build.add_argument(
        "--pdf", type=_path, metavar="FILE", help="print all pages into this file, too"
    )
    build.set_defaults(command=_book)

    claims = commands.add_parser(
        "claims", help="list the papers' claims with the verdicts that the published pages give"
    )
    claims.add_argument("study", nargs="?", default="", metavar="STUDY", help="default: all five")
    claims.add_argument(
        "--contradictions", action="store_true",
        help="where the papers contradict themselves, with the figures that they print and those "
        "that their tables give",
    )  # fmt: skip
    claims.add_argument(
        "--readme", action="store_true",
        help="put the counts, and what each page found, into the README",
    )  # fmt: skip
    claims.set_defaults(command=_claims)

    judge = commands.add_parser(
        "judge", help="attack a network of your own, audit it, and say whether its defense holds"
    )
    judge.add_argument("network", metavar="FILE.py:FUNCTION",
                       help="a function without arguments that returns the network")  # fmt: skip
    for name, says in (
        ("undefended", "the network without its defense, to compare it with"),
        ("untricked", "the network with its trick undone, for an adaptive attacker"),
    ):
        judge.add_argument(f"--{name}", default="", metavar="FILE.py:FUNCTION", help=says)
    judge.add_argument("--dataset", required=True, metavar="NAME",
                       help="its test images: a name, folder:PATH or parquet:PATH")  # fmt: skip
    judge.add_argument("--eps", required=True, type=_number, metavar="EPS",
                       help="radius of the L-inf ball in pixel units, as in 8/255")  # fmt: skip
    judge.add_argument("--images", type=int, default=200, metavar="N", help="test images (200)")
    judge.add_argument("--size", type=int, metavar="PIXELS", help="side of the images; their own")
    judge.add_argument("--channels", type=int, choices=(1, 3), help="their own")
    for name, value in (("mean", 0.0), ("std", 1.0)):
        judge.add_argument(
            f"--{name}", type=float, nargs="+", default=[value], metavar="X",
            help="of the normalisation that the network expects, one or one a channel; left out "
            "where it does that by itself",
        )  # fmt: skip
    for name, value, says in (
        ("steps", 100, "of PGD"), ("restarts", 5, "of PGD"), ("queries", 1000, "of Square"),
    ):  # fmt: skip
        judge.add_argument(f"--{name}", type=int, default=value, metavar="N",
                           help=f"{says} ({value})")  # fmt: skip
    judge.add_argument("--no-autoattack", action="store_true",
                       help="leave AutoAttack out; then no defense is said to hold")  # fmt: skip
    judge.add_argument("--out", type=_path, default=Path("judged"), metavar="FOLDER",
                       help="for report.html and report.json (judged)")  # fmt: skip
    judge.set_defaults(command=_judge)

    publish = commands.add_parser("publish", help="make a run a published page of the book")
    publish.add_argument("run", type=_path, metavar="RUN", help="a run's folder")
    publish.add_argument("--as", default="", dest="page", metavar="PAGE",
                         help="the page's name; default: the study's")  # fmt: skip
    publish.set_defaults(command=_publish)

    keep = commands.add_parser("store", help="store the default runs' outputs in notebooks/")
    keep.add_argument("studies", nargs="*", metavar="STUDY", help="default: all")
    keep.add_argument("--runs", type=_path, default=Path("runs"), help="folder of the runs")
    keep.set_defaults(command=_store)
    return parser


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _number(text: str) -> float:
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"must be a number or a fraction, got {text!r}") from None


# Each command imports what it needs: `advlib --help` should not wait for torch.


def _run(arguments: argparse.Namespace) -> int:
    from advlib.batch import plan

    overrides = dict(arguments.given)
    for name, value in arguments.given:
        if overrides[name] != value:
            raise ValueError(f"{name}: is set to both {value!r} and {overrides[name]!r}")
    sweep = plan.parse_sweep(arguments.sweep) if arguments.sweep else {}
    gpus = {"auto": None, "none": ()}.get(arguments.gpus, arguments.gpus.split(","))
    if gpus and not all(number.strip().isdigit() for number in gpus):
        raise ValueError(f"gpus: must be auto, none, or numbers as in 0,2; got {arguments.gpus}")
    jobs = plan.plan(
        arguments.studies,
        overrides,
        profile=arguments.profile,
        sweep=sweep,
        threads=arguments.threads,
        join=arguments.join,
    )
    if arguments.dry_run:
        return _tell(jobs, arguments.out)
    from advlib.batch import execute

    failures = execute.run(
        jobs, out=arguments.out, workers=arguments.workers, scheduler=arguments.scheduler,
        gpus=gpus and [int(number) for number in gpus], cell_seconds=arguments.timeout,
        memory=_bytes(arguments.memory) if arguments.memory else None,
        dashboard=arguments.dashboard,
    )  # fmt: skip
    for failure in failures:
        print(f"advlib: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _bytes(size: str) -> int:
    from dask.utils import parse_bytes

    try:
        return parse_bytes(size)
    except ValueError:
        raise ValueError(f"memory: must be a size such as 8GB, got {size!r}") from None


def _tell(jobs: Sequence[Job], out: str) -> int:
    """What a batch would do."""
    from advlib.batch import store

    there = 0
    for job in jobs:
        complete = store.is_complete(store.folder(job, store.at(out)))
        there += complete
        changed = " ".join(f"{name}={value}" for name, value in job.changed.items())
        print(f"{job.study} {job.key} {'complete' if complete else 'to run'} {changed}".rstrip())
    print(f"{len(jobs)} jobs: {there} complete, {len(jobs) - there} to run")
    return 0


def _runs(arguments: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from dask.utils import format_time

    from advlib.batch import store

    now = datetime.now(UTC)
    table = [("study", "key", "state", "age", "seconds", "device or problem")]
    for run in store.runs(store.at(arguments.out)):
        age = format_time(max(0.0, (now - run.changed).total_seconds()))
        seconds = "" if run.seconds is None else f"{run.seconds:,.0f}"
        table.append((run.study, run.key, run.state, age, seconds, run.device or run.problem))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    import pandas as pd

    from advlib.batch import store

    if not arguments.state and not arguments.older:
        raise ValueError("rm: name what to delete, by --state or --older")
    try:
        older = pd.Timedelta(arguments.older or 0).to_pytimedelta()
    except ValueError as error:
        raise ValueError(f"older: must be an age such as 12h or 30 days ({error})") from None
    going = store.chosen(store.runs(store.at(arguments.out)), state=arguments.state, older=older)
    for run in going:
        print(f"{run.study} {run.key} ({run.state}) {run.folder}")
    if not going or not (arguments.yes or _agreed(f"Delete these {len(going)} runs?")):
        print("Nothing is deleted")
        return 0
    for run in going:
        done = "Deleted" if store.remove(run) else "Kept, as it is being made:"
        print(f"{done} {run.study} {run.key} ({run.state})")
    return 0


def _agreed(question: str) -> bool:
    """The user at the terminal says yes."""
    if not sys.stdin.isatty():
        raise ValueError("rm: --yes is needed where nobody can be asked")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _book(arguments: argparse.Namespace) -> int:
    from advlib import book

    index = book.build(runs=arguments.runs, allow_stale=arguments.allow_stale)
    print(f"The book is in {index}")
    if arguments.pdf:
        from advlib.book import links, pdf

        pages = links.contents(Path("_toc.yml"))
        print(f"Printed as {pdf.write(index.parent, pages, arguments.pdf)}")
    return 0


def _claims(arguments: argparse.Namespace) -> int:
    from advlib import contradictions
    from advlib.book import front, judged
    from advlib.checks import check_choice

    studies = [arguments.study] if arguments.study else list(contradictions.STUDIES)
    for study in studies:
        check_choice("study", study, contradictions.STUDIES)
    if arguments.contradictions:
        print(contradictions.listing(contradictions.all_contradictions(studies)))
        return 0
    if arguments.readme:
        front.fill_readme()
        return 0
    found = judged.over_pages(judged.of_pages())
    print(judged.listing(found[found["study"].isin(studies)]))
    return 0


def _judge(arguments: argparse.Namespace) -> int:
    from advlib import judge

    asked = {
        name: value for name, value in vars(arguments).items() if name not in ("command", "out")
    }
    print(judge.report(arguments.out, **asked).says)
    print(f"The report is in {arguments.out / judge.HTML}, its figures in {judge.JSON} beside it")
    return 0


def _publish(arguments: argparse.Namespace) -> int:
    from advlib import book
    from advlib.book import front

    print(f"Published as {book.publish(arguments.run, arguments.page)}")
    front.fill_readme()
    return 0


def _store(arguments: argparse.Namespace) -> int:
    from advlib import book

    for notebook in book.store_outputs(arguments.studies, runs=arguments.runs):
        print(f"Stored {notebook}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
