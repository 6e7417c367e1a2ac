"""What today's rules say of the published pages: each claim's verdict, from the pages' records."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

import pandas as pd

from advlib import contradictions, saved, studies
from advlib.batch import store
from advlib.book.publishing import PUBLISHED
from advlib.claims import FAILS, HOLDS, ONLY, UNDECIDED, UNTESTED, VERDICTS, verdicts
from advlib.papers import paper_files
from advlib.tables import readable

COLUMNS = ("study", "id", "claim", "where", "verdict")
TITLES = {  # of the papers, by study
    "aft_fgsm_vs_jsma": "Fine-tuning on FGSM or JSMA images (000)",
    "patch_augmentation": "Fine-tuning on altered patches (001)",
    "dominant_filters": "Dominant filters (002)",
    "cross_resnet": "One ResNet's images for the others (003)",
    "distillation_and_patches": "FGSM, patches and distillation (004)",
}
ICONS = {HOLDS: "✓", ONLY: "◐", FAILS: "✗", UNDECIDED: "?", UNTESTED: "–"}


def of_pages() -> pd.DataFrame:
    """The verdict on each claim by each published page of its study, in the order of the claims."""
    judged = []
    for page in sorted(PUBLISHED.glob("*.ipynb")):
        folder = page.with_suffix("")
        made = store.provenance(folder)
        study = made["study"]
        if "claims.toml" not in paper_files(study):
            continue
        rows, outcomes = saved.read(folder)
        rows = studies.for_claims(study, rows, made["parameters"])
        judged.append(verdicts(study, rows, outcomes).assign(study=study, page=page.stem))
    if not judged:
        return pd.DataFrame(columns=[*COLUMNS, "page", "reason"])
    table = pd.concat(judged, ignore_index=True)
    return table.sort_values(["id", "page"], kind="stable", key=_by_number, ignore_index=True)


def check(judged: pd.DataFrame) -> None:
    """Raise ValueError where a published page says another verdict than its records give (of
    `of_pages`). A page that stored none is of a time before that, and its head says so."""
    wrong = []
    for page, today in judged.groupby("page"):
        file = PUBLISHED / str(page) / saved.VERDICTS
        if not file.is_file():
            continue
        told = pd.read_csv(file, keep_default_na=False).set_index("id")["verdict"]
        now = today.set_index("id")["verdict"]
        for claim in told.index.union(now.index, sort=False):
            before, after = told.get(claim, "nothing"), now.get(claim, "nothing")
            if before != after:
                wrong.append(f"{page}: {claim}: the page says {before}, its records give {after}")
    if wrong:
        raise ValueError(
            "book: by today's rules published pages say otherwise; run them anew (what was trained "
            "is kept) and publish them:\n" + "\n".join(wrong)
        )


def over_pages(judged: pd.DataFrame) -> pd.DataFrame:
    """One verdict a claim: that of the pages that decide it; where they differ, the worst.

    `pages` tells which page says what, with its reason.
    """
    lines = []
    for name, group in judged.groupby("id", sort=False):
        verdict = _worst(group["verdict"])
        first = group.iloc[0]
        told = (
            f"{row.page}: {row.verdict}{'' if row.reason == '–' else f' ({row.reason})'}"
            for row in group.itertuples()
        )
        same = group["verdict"].nunique() == group["reason"].nunique() == 1
        pages = (first["reason"] if first["reason"] != "–" else "") if same else "; ".join(told)
        line = {"study": first["study"], "id": name, "claim": first["claim"]}
        line |= {"where": first["where"], "verdict": verdict, "pages": readable(pages)}
        lines.append(line)
    return pd.DataFrame(lines, columns=[*COLUMNS, "pages"])


def counts(table: pd.DataFrame) -> str:
    """`counted` as Markdown, under the papers' titles."""
    wide = counted(table)
    names = {study: TITLES.get(study, study) for study in wide.index}
    return wide.rename(index=names).rename_axis(index="paper", columns=None).to_markdown()


def counted(table: pd.DataFrame) -> pd.DataFrame:
    """How many numbered claims of each paper have each verdict (`over_pages`): a row a study, and
    one for all; a column a verdict, after that of all claims.

    Our own controls, whose numbers begin with a K, are no claims of a paper.
    """
    table = table[table["id"].str.contains("-C")]
    number = table["id"].str.rstrip("abcdefgh")  # 003-C3a to c are 003-C3 on three data sets
    table = table.groupby(["study", number], sort=False)["verdict"].agg(_worst).reset_index()
    wide = table.groupby(["study", "verdict"]).size().unstack("verdict", fill_value=0)
    wide = wide.reindex(index=contradictions.STUDIES, columns=list(VERDICTS), fill_value=0)
    wide.loc["all"] = wide.sum()
    wide.insert(0, "claims", wide.sum(axis=1))
    return wide


def claims_page(judged: pd.DataFrame) -> str:
    """Markdown: every claim with its verdict over the pages, paper by paper."""
    table = over_pages(judged)
    parts = [counts(table)]
    for study in contradictions.STUDIES:
        own = table[table["study"] == study]
        pages = judged.loc[judged["study"] == study, "page"].unique()
        links = ", ".join(f"[{page}](studies/{page}.ipynb)" for page in pages)
        lines = own.assign(verdict=own["verdict"].map(lambda v: f"{ICONS[v]} {v}"))
        lines = lines[["id", "claim", "verdict", "pages"]].rename(columns={"pages": "why"})
        parts.append(
            f"## {TITLES[study]}\n\nJudged by {links}.\n\n{lines.to_markdown(index=False)}"
        )
    return "\n\n".join(parts) + "\n"


def contradictions_page() -> str:
    """Markdown: the papers' contradictions, each with its figures and our reading."""
    parts = []
    for study in contradictions.STUDIES:
        parts.append(f"## {TITLES[study]}")
        for row in contradictions.contradictions(study).itertuples():
            parts.append(f"### {row.id}: {row.title}\n\n{contradictions.told(row)}")
    return "\n\n".join(parts) + "\n"


def listing(table: pd.DataFrame, width: int | None = None) -> str:
    """`over_pages` as plain text, a claim a block, with the counts at the end."""
    width = width or shutil.get_terminal_size().columns
    wrap = textwrap.TextWrapper(
        width=max(40, width), initial_indent=8 * " ", subsequent_indent=8 * " "
    )
    blocks = []
    for row in table.itertuples():
        blocks.append(f"{row.id:<8}{row.verdict}\n{wrap.fill(row.claim)}")
        if row.pages:
            blocks.append(wrap.fill(row.pages))
    return "\n".join([*blocks, "", counts(table)])


def _worst(verdicts: pd.Series) -> str:
    """Of several verdicts on one claim, the worst of those that decide it."""
    found = set(verdicts)
    return next(v for v in (FAILS, ONLY, HOLDS, UNDECIDED, UNTESTED) if v in found)


def _by_number(column: pd.Series) -> pd.Series:
    """Claims in the order of their numbers: 002-C10 after 002-C9, controls last."""
    if column.name != "id":
        return column
    parts = column.str.extract(r"(\d+)-([A-Z])(\d+)([a-z]?)")
    return parts[0] + parts[1] + parts[2].str.zfill(3) + parts[3]


def write(folder: Path, judged: pd.DataFrame) -> None:
    """The generated parts of the book's pages on claims (of `of_pages`) and contradictions."""
    (folder / "claims.md").write_text(claims_page(judged), encoding="utf-8")
    (folder / "contradictions.md").write_text(contradictions_page(), encoding="utf-8")
