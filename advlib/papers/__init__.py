"""The papers' own tables and claims, as data: a folder for each study."""

from __future__ import annotations

from importlib import resources

import pandas as pd

from advlib.records import COLUMNS, ordered


def paper_files(study: str) -> dict[str, str]:
    """The texts in advlib/papers/STUDY by file name: the paper's tables and its claims."""
    folder = resources.files("advlib.papers").joinpath(study)
    return (
        {f.name: f.read_text(encoding="utf-8") for f in folder.iterdir()} if folder.is_dir() else {}
    )


def paper_rows(study: str) -> pd.DataFrame:
    """The figures that the paper prints, as rows (`value` as a share, not in percent).

    They have the columns of a run's rows, but for those that only a run has. A study that re-runs
    no paper has none.
    """
    folder = resources.files("advlib.papers").joinpath(study)
    printed = folder.joinpath("tables.csv")
    if folder.is_dir() and not printed.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    with printed.open(encoding="utf-8") as file:
        rows = pd.read_csv(file, dtype={"table": str}, keep_default_na=False, na_values=[""])
    return ordered(rows)
