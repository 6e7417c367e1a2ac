"""What README and front page say of the published runs: summaries and counts, from records."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from advlib import files, records, studies
from advlib.batch import store
from advlib.book import judged
from advlib.book.publishing import PUBLISHED, README
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
    rows, _ = records.read(folder)
    values = studies.for_summary(made["study"], made["parameters"])
    return " ".join(filled(made["study"], rows, values, file=SUMMARY).split())


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


def write(folder: Path, verdicts: pd.DataFrame) -> None:
    """The summaries, and the counts of the verdicts (`judged.of_pages`), as files that the front
    page includes."""
    counts = judged.counts(judged.over_pages(verdicts))
    (folder / "counts.md").write_text(f"{counts}\n", encoding="utf-8")
    for page in sorted(PUBLISHED.glob("*.ipynb")):
        text = f"{summary(page.stem)}\n"
        (folder / f"{page.stem}.md").write_text(text, encoding="utf-8")
