"""What README and front page say of the published runs: summaries, counts and the table of claims,
from records."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from advlib import contradictions, files, saved, studies
from advlib.batch import store
from advlib.book import judged
from advlib.book.publishing import PUBLISHED, README
from advlib.claims import VERDICTS, reported
from advlib.findings import SUMMARY, filled
from advlib.papers import paper_files

MARK = "verdicts"  # of the README's table of counts


def summary(page: str) -> str:
    """What a published page found, in a few sentences, with the figures of its records; "" where
    its study has no summary.md."""
    folder = PUBLISHED / page
    made = store.provenance(folder)
    if SUMMARY not in paper_files(made["study"]):
        return ""
    rows, _ = saved.read(folder)
    values = studies.for_summary(made["study"], made["parameters"])
    return " ".join(filled(made["study"], rows, values, file=SUMMARY).split())


def scale(page: str) -> str:
    """How large a published page's run was: "3 seeds, up to 1,000 images under an attack"."""
    folder = PUBLISHED / page
    rows, _ = saved.read(folder)
    attacked = rows[rows["metric"].eq("accuracy") & rows["protocol"].ne("clean")]
    seeds = len(store.provenance(folder)["parameters"]["seeds"])
    told = "1 seed" if seeds == 1 else f"{seeds} seeds"
    return f"{told}, up to {attacked['n'].max():,.0f} images under an attack"


def mark(page: str) -> str:
    """The README's mark of a page's summary."""
    return f"{page}: in words"


def fill_readme() -> None:
    """Put the summaries of the published pages and the counts of their verdicts into the README,
    where it has a place for them."""
    if README.is_file():
        files.fill(README, MARK, judged.counts(judged.over_pages(judged.of_pages())))
        for page in sorted(PUBLISHED.glob("*.ipynb")):
            files.fill(README, mark(page.stem), summary(page.stem))


def sentence(verdicts: pd.DataFrame) -> str:
    """How the claims of the papers came out, in a sentence (of `judged.of_pages`)."""
    counted = judged.counted(judged.over_pages(verdicts)).loc["all"]
    told = [f"**{counted[verdict]}** {SAID[verdict]}" for verdict in VERDICTS]
    return f"Of {counted['claims']} claims {', '.join(told[:-1])}, and {told[-1]}."


SAID = dict(
    zip(
        VERDICTS,
        (
            "hold", "hold only under the paper's own protocol", "do not hold", "are undecided",
            "were not tested",
        ),
        strict=True,
    )
)  # fmt: skip
COLUMNS = {  # of the table of claims: the class of a cell, and its heading
    "id": "number", "paper": "paper", "says": "claim", "reported": "reported", "static": "static",
    "white-box": "white-box", "verdict": "verdict",
}  # fmt: skip


def claims_table(verdicts: pd.DataFrame) -> str:
    """HTML: a row a claim, which a script makes sortable and filterable (of `judged.of_pages`).

    `reported` is what the paper's tables have. The other figures are those of the page whose
    verdict counts, to which the paper's name leads. A range is over the claim's conditions.
    """
    printed = {key: shares for study in verdicts["study"].unique()
               for key, shares in reported(study).items()}  # fmt: skip
    over = judged.over_pages(verdicts).set_index("id")
    rows = []
    for name, line in over.iterrows():
        own = verdicts[verdicts["id"].eq(name) & verdicts["verdict"].eq(line["verdict"])].iloc[0]
        title = judged.TITLES[line["study"]].rpartition(" (")[0]
        static, known = (_range(_percents(own[told])) for told in ("static", "white-box"))
        says = html.escape(line["claim"])
        if static == known != "–":  # no images were crafted: it is the same under any protocol
            says, static, known = f"{says} <small>Measured: {known}</small>", "–", "–"
        paper = f'<a href="studies/{own["page"]}.html">{html.escape(title)}</a>'
        cells = {
            "id": name,
            "paper": paper,
            "says": says,
            "reported": _range([100 * share for share in printed.get(name, ())]),
            "static": static,
            "white-box": known,
            "verdict": f"{judged.ICONS[line['verdict']]} {line['verdict']}",
        }
        rows.append(
            "<tr>"
            + "".join(
                f'<td class="{key}" data-label="{COLUMNS[key]}">{text}</td>'
                for key, text in cells.items()
            )
            + "</tr>"
        )
    heads = "".join(
        f'<th scope="col"><button type="button" class="sort" data-sort="{key}">{said}</button></th>'
        for key, said in COLUMNS.items()
    )
    titles = [judged.TITLES[study].rpartition(" (")[0] for study in contradictions.STUDIES]
    return (
        '<div id="claims">\n<div class="claims-tools" hidden>\n'
        '<label>Search <input class="search" type="search"></label>\n'
        f"{_choice('paper', titles)}\n{_choice('verdict', VERDICTS)}\n"
        '<span class="claims-count" role="status"></span>\n</div>\n'
        '<div class="claims-box" tabindex="0" role="region" aria-label="All claims">\n<table>\n'
        f'<thead><tr>{heads}</tr></thead>\n<tbody class="list">\n'
        + "\n".join(rows)
        + "\n</tbody>\n</table>\n</div>\n</div>\n"
    )


def _choice(name: str, values: Iterable[str]) -> str:
    options = "".join(f"<option>{html.escape(value)}</option>" for value in values)
    return (
        f'<label>{name.capitalize()} <select data-filter="{name}">'
        f'<option value="">all</option>{options}</select></label>'
    )


def _percents(told: str) -> list[float]:
    """The figures that a claim's conditions found."""
    return [float(value) for value in re.findall(r"(?:^|; )(-?[\d.]+)%", told)]


def _range(found: Sequence[float]) -> str:
    """Figures in a table's cell, "1.3 to 5.6 %"; a dash for none."""
    if not found:
        return "–"
    low, high = min(found), max(found)
    return f"{low:.1f} %" if low == high else f"{low:.1f} to {high:.1f} %"


def write(folder: Path, verdicts: pd.DataFrame) -> None:
    """What the front page includes: the counts, the table of claims, and the pages' summaries, each
    with the scale of its run."""
    counts = judged.counts(judged.over_pages(verdicts))
    (folder / "counts.md").write_text(f"{counts}\n", encoding="utf-8")
    (folder / "sentence.md").write_text(f"{sentence(verdicts)}\n", encoding="utf-8")
    (folder / "claims.html").write_text(claims_table(verdicts), encoding="utf-8")
    for page in sorted(PUBLISHED.glob("*.ipynb")):
        text = f"{summary(page.stem)} *({scale(page.stem)})*\n".lstrip()
        (folder / f"{page.stem}.md").write_text(text, encoding="utf-8")
