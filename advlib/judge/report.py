"""A judgement as two files: report.html to read, report.json to compute with."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import Markdown
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from advlib import audit, data, plots, tables
from advlib.checks import check_count, check_eps
from advlib.files import write_whole
from advlib.judge.foreign import check, load
from advlib.judge.judging import UNDEFENDED, Judgement, figures, judge, under_test
from advlib.protocols import with_shown
from advlib.records import Run

HTML, JSON = "report.html", "report.json"


def report(
    out: Path,
    *,
    network: str,
    dataset: str,
    eps: float,
    undefended: str = "",
    untricked: str = "",
    images: int = 200,
    size: int | None = None,
    channels: int | None = None,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
    steps: int = 100,
    restarts: int = 5,
    queries: int = 1000,
    no_autoattack: bool = False,
) -> Judgement:
    """Load the networks and the set's first test images, judge, and write the report to `out`.

    What was attacked before is kept on disk: after an interruption the same call goes on.

    Args:
        network, undefended, untricked: "FILE.py:FUNCTION", as for `load`; "" for none.
        images: how many test images, a choice that holds the classes in their shares.
        size, channels: of the images; None: their own.
        mean, std: of the normalisation that the networks expect, as for `load`.
        eps, steps, restarts, queries: as for `judge`.
        no_autoattack: leave AutoAttack out.

    Raises:
        ValueError: before anything is attacked; the message names the argument.
    """
    settings = {name: value for name, value in locals().items() if name != "out"}
    given = {"network": network, "undefended": undefended, "untricked": untricked}
    check_eps(eps)
    check_count("images", images)
    for name, where in given.items():
        if where:
            check(where, name)
    try:
        if images > (there := data.head(dataset).test):
            raise ValueError(f"images: must be at most {there:,}, all test images; got {images:,}")
        shown = data.load(
            dataset, size=size, channels=channels, train=1, validation=0.0, test=images
        )
    except data.DataError as error:
        raise ValueError(str(error)) from error  # it begins with the word dataset
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(f"out: cannot write to {out} ({error})") from error
    loaded = {
        name: load(
            where, shown.test, classes=len(shown.classes), mean=mean, std=std, name=name
        )
        for name, where in given.items() if where
    }  # fmt: skip
    run = Run("judge", settings)
    run.uses(shown)
    subject = under_test(loaded.pop("network"), network, **loaded)
    judgement = judge(
        run, subject, shown.test, eps=eps, steps=steps, restarts=restarts, queries=queries,
        autoattacked=not no_autoattack,
    )  # fmt: skip
    write(judgement, out)
    return judgement


def write(judgement: Judgement, folder: Path) -> Path:
    """Write report.html and report.json, with the run's records beside them; returns the page."""
    judgement.run.save(folder)
    made = judgement.run.provenance()
    told = {**figures(judgement), "provenance": made}
    text = json.dumps(told, indent=2, allow_nan=False) + "\n"
    write_whole(folder / JSON, lambda part: part.write_text(text, encoding="utf-8"))
    page = _page(judgement, made)
    write_whole(folder / HTML, lambda part: part.write_text(page, encoding="utf-8"))
    return folder / HTML


def accuracies(*judgements: Judgement) -> tables.Table:
    """Accuracy under each attack and protocol, with its 95 % interval over images."""
    rows = with_shown(_rows(judgements, plain=True))
    return tables.spread(rows, index=["model", "attack"], columns=["shown"])


def bars(*judgements: Judgement) -> Figure:
    """Accuracy under each attack as bars, a colour a protocol, a panel a network."""
    rows = _rows(judgements)
    return plots.protocols(rows[rows["attack"].ne("none")], "attack", label="attack")


def signs(*judgements: Judgement) -> tables.Table:
    """The audits: a line for each sign of masked gradients."""
    audits = {_name(of.subject.model): of.audit for of in judgements}
    return tables.table(audit.beside(audits), index=False, small=True)


def sentences(*judgements: Judgement) -> Markdown:
    """What is said of each network."""
    return Markdown("\n".join(f"- **{_name(of.subject.model)}.** {of.says}" for of in judgements))


def _rows(judgements: Sequence[Judgement], *, plain: bool = False) -> pd.DataFrame:
    """Their own rows by the functions' names, and with `plain` those of the undefended network."""
    whole = judgements[0].run.rows
    models = [UNDEFENDED] * plain + [of.subject.model for of in judgements]
    own = pd.concat([whole[whole["model"].eq(model)] for model in models])
    return own.assign(model=own["model"].map(_name))


def _name(where: str) -> str:
    """The function's name in FILE.py:FUNCTION."""
    return where.rpartition(":")[2]


def _page(judgement: Judgement, made: Mapping[str, Any]) -> str:
    plots.style()
    environment = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True)
    template = files("advlib.judge").joinpath("report.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        judgement=judgement,
        made=made,
        accuracies=Markup(accuracies(judgement)._repr_html_()),
        signs=Markup(signs(judgement)._repr_html_()),
        figure=Markup(_svg(bars(judgement))),
    )


def _svg(figure: Figure) -> str:
    """The figure as an SVG element."""
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight")
    plots.plt.close(figure)
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]
