"""Where the papers contradict themselves, as data, with the figures that their tables give.

`advlib/papers/STUDY/contradictions.toml` holds the contradictions of our reading of a paper. Each
has an `id`, a `title`, what one place `says`, what the paper says elsewhere (`but`), our `reading`,
where our own runs bear on it what it is `decided_by`, and the `figures` in question. A figure is

    label    = "gain under JSMA"
    take     = "relative gain"                      # one of `figures.OPERATIONS`
    among    = { attack = "jsma", table = "III" }   # what all its rows have in common
    rows     = { defense = "AFT-JSMA" }             # rows of the paper's tables, as in claims.toml,
    than     = { table = "I", defense = "none" }    # numbers of its text, or another figure
    printed  = "25.2 %"                             # as the paper prints it, if it does
    computed = "4.8 %"                              # as we compute it, unless that is the same
"""

from __future__ import annotations

import itertools
import re
import shutil
import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from advlib.checks import check_choice
from advlib.contradictions.figures import answers
from advlib.papers import paper_files, paper_rows

FILE = "contradictions.toml"
STUDIES = (  # in the order of their numbers, 000 to 004
    "aft_fgsm_vs_jsma",
    "patch_augmentation",
    "dominant_filters",
    "cross_resnet",
    "distillation_and_patches",
)
NEEDED = ("id", "title", "says", "but", "reading")
PERCENT = re.compile(r"(%|points)$")  # the units of a share; a figure with another one is plain
NUMBER = re.compile(r"(?<![\w.])[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")


def contradictions(study: str) -> pd.DataFrame:
    """One row each: id, title, says, but, figures (printed and recomputed), reading, decided_by.

    Raises:
        ValueError: a key, column, value or operation that there is none of; the message names
            the contradiction and those there are.
    """
    entries, figures = _entries(study), recomputed(study)
    told = {
        number: "; ".join(_told(figure) for figure in own.itertuples())
        for number, own in figures.groupby("id", sort=False)
    }
    table = [
        {key: entry[key] for key in NEEDED[:-1]}
        | {
            "figures": told.get(entry["id"], ""),
            "reading": entry["reading"],
            "decided_by": entry.get("decided_by", ""),
        }
        for entry in entries
    ]
    return pd.DataFrame(table)


def all_contradictions(studies: Sequence[str] = STUDIES) -> pd.DataFrame:
    """`contradictions` of several papers, in the order of their numbers."""
    return pd.concat(map(contradictions, studies), ignore_index=True)


def recomputed(study: str) -> pd.DataFrame:
    """One row a figure: id, label, printed, computed, recomputed, agrees.

    `recomputed` is today's, in the form of `computed`, or of `printed` where that is empty;
    `agrees` says whether it is the same, to the digits that stand there.
    """
    table: list[dict[str, Any]] = []
    entries, paper = _entries(study), paper_rows(study)
    for entry in entries:
        for figure in entry.get("figures", ()):
            try:
                table.append({"id": entry["id"], **_beside(figure, paper)})
            except ValueError as error:
                label = figure.get("label", "a figure")
                raise ValueError(f"{entry['id']}, {label}: {error}") from error
    columns = ["id", "label", "printed", "computed", "recomputed", "agrees"]
    return pd.DataFrame(table, columns=columns)


def listing(table: pd.DataFrame, width: int | None = None) -> str:
    """The contradictions' ids, titles and figures as columns of text.

    `width` is that of a line, the terminal's if it is not given; below 60 it is 60.
    """
    width = max(width or shutil.get_terminal_size((100, 24)).columns, 60)
    of_title = min(max(map(len, table["title"])), width // 3)
    lines = []
    for row in table.itertuples():
        titles = textwrap.wrap(row.title, of_title)
        figures = _wrapped(row.figures or "–", width - of_title - 11)
        cells = itertools.zip_longest([row.id], titles, figures, fillvalue="")
        lines += [f"{a:<7}  {b:<{of_title}}  {c}".rstrip() for a, b, c in cells]
    return "\n".join(lines)


def told(row: Any) -> str:
    """A row of `contradictions` in Markdown, without its title."""
    figures = f"\n\n*{row.figures}*" if row.figures else ""
    return f"{row.says} **But:** {row.but}{figures}\n\n{row.reading}"


def _wrapped(figures: str, width: int) -> list[str]:
    """Each figure on lines of its own, a number together with its unit."""
    lines = []
    for figure in re.sub(r"(\d) (%|points)", "\\1\u00a0\\2", figures).split("; "):
        lines += textwrap.wrap(figure, width, subsequent_indent="  ")
    return [line.replace("\u00a0", " ") for line in lines]


def _entries(study: str) -> list[dict[str, Any]]:
    check_choice("study", study, STUDIES)
    entries = tomllib.loads(paper_files(study)[FILE])["contradiction"]
    for entry in entries:
        name = entry.get("id", "contradiction")
        for key in entry:
            check_choice(name, key, [*NEEDED, "figures", "decided_by"])
        for key in NEEDED:
            check_choice(name, key, entry)
    return entries


def _told(figure: Any) -> str:
    """A row of `recomputed` as text."""
    if figure.printed == figure.recomputed:
        return f"{figure.label}: {figure.printed} as printed"
    printed = f"printed {figure.printed}, " if figure.printed else ""
    return f"{figure.label}: {printed}recomputed {figure.recomputed}"


def _beside(figure: Mapping[str, Any], paper: pd.DataFrame) -> dict[str, Any]:
    """A figure as printed and as we computed it, beside what the rows give today."""
    about = {key: figure[key] for key in ("label", "printed", "computed") if key in figure}
    check_choice("figure", "label", about)
    told = {"printed": "", "computed": ""} | about
    form = told["computed"] or told["printed"]
    if not form:
        raise ValueError("figure: must have printed, computed or both")
    found = answers({k: v for k, v in figure.items() if k not in about}, paper)
    if isinstance(found[0], str):
        text = ", ".join(map(str, found))
        return {**told, "recomputed": text, "agrees": text == form}
    scale = 100 if PERCENT.search(form) else 1
    numbers = [float(answer) * scale for answer in found]
    wanted = NUMBER.findall(form)
    if len(wanted) != len(numbers):
        raise ValueError(f"figure: must be as many numbers as {numbers}, got {form!r}")
    left = iter(numbers)
    text = NUMBER.sub(lambda number: _written(next(left), number[0]), form)
    agrees = [
        abs(number - float(digits.replace(",", ""))) <= 0.5 * 10.0 ** -_places(digits) + 1e-9
        for number, digits in zip(numbers, wanted, strict=True)
    ]
    return {**told, "recomputed": text, "agrees": all(agrees)}


def _written(number: float, like: str) -> str:
    """The number with the sign, separators and decimals of a text."""
    sign = "+" if like[0] in "+-" else ""
    return f"{round(number, 9):{sign}{',' if ',' in like else ''}.{_places(like)}f}"


def _places(digits: str) -> int:
    return len(digits.partition(".")[2])
