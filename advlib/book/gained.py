"""What the published pages leave of each paper's gain: a figure and tables, from their records."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from advlib import contradictions, gains, plots, saved
from advlib.book.judged import TITLES
from advlib.book.publishing import PUBLISHED
from advlib.protocols import ORDER, PAPER

FIGURE = "gains.svg"


def left() -> pd.DataFrame:
    """`gains.left` of each paper whose page is published, under the paper's title.

    Columns: study, paper, page, says, step, gain, share. The steps stand in the registry's order.
    """
    parts = []
    for study in contradictions.STUDIES:
        told = gains.gain_of(study)
        if not (folder := PUBLISHED / told["page"]).is_dir():
            continue
        made = gains.left(study, saved.read(folder)[0])
        names = {"study": study, "paper": TITLES[study], "page": told["page"], "says": told["says"]}
        parts.append(made.assign(**names))
    if not parts:
        return pd.DataFrame()
    rows = pd.concat(parts, ignore_index=True)
    return rows.sort_values("step", key=lambda steps: steps.map(_place), kind="stable")


def _place(step: str) -> tuple[int, str]:
    """A protocol's place in the registry; "white-box, PGD" comes after all that are one word."""
    word = step.partition(",")[0]
    return (len(ORDER) if word != step else 0) + ORDER.index(word), step


def told(rows: pd.DataFrame) -> str:
    """Markdown: a line an attacker, a column a paper, with the gain in points and its share of the
    paper's (rows of `left`); then what each gain is of."""
    cells = rows["gain"].map("{:+.1f}".format) + rows["share"].map(" ({:.0%})".format)
    number = rows["paper"].str.extract(r"\((\d+)\)$")[0]
    wide = rows.assign(cell=cells, number=number).pivot_table(
        "cell", "step", "number", aggfunc="first", sort=False
    )
    wide = wide.loc[list(dict.fromkeys(rows["step"])), sorted(wide)].fillna("–")
    whole = wide.rename_axis(index="attacker").to_markdown(disable_numparse=True)
    of_paper = rows.assign(number=number).drop_duplicates("number").sort_values("number")
    lines = [
        f"- **{row.number}**: {row.says}, measured on [{row.page}](studies/{row.page}.ipynb)."
        for row in of_paper.itertuples()
    ]
    return whole + "\n\n" + "\n".join(lines) + "\n"


def nearest() -> str:
    """Markdown: how far each protocol's figures lie from the paper's (`gains.nearest`)."""
    lines = []
    for study in contradictions.STUDIES:
        folder = PUBLISHED / gains.gain_of(study)["page"]
        if not folder.is_dir():
            continue
        found = gains.nearest(study, saved.read(folder)[0])
        if found is None:
            continue
        summary, chance = found
        off = summary["root mean square"]
        line = {"paper": TITLES[study], "figures": int(summary["figures"].iloc[0])}
        line |= {word: f"{points:.1f}" for word, points in off.items()}
        lines.append(line | {"nearest": off.index[0], "p": f"{chance:.1g}"})
    table = pd.DataFrame(lines)
    words = [word for word in ORDER if word in table.columns and word != PAPER]
    table = table[["paper", "figures", *words, "nearest", "p"]].fillna("–")
    return table.to_markdown(index=False, disable_numparse=True) + "\n"


def write(folder: Path) -> None:
    """The generated parts of the page on gains; none where no paper's page is published."""
    if (rows := left()).empty:
        return
    plots.style()
    figure = plots.gains(rows, "paper")
    figure.savefig(folder / FIGURE, metadata={"Date": None})
    plots.plt.close(figure)
    (folder / "gains.md").write_text(told(rows), encoding="utf-8")
    (folder / "nearest.md").write_text(nearest(), encoding="utf-8")
