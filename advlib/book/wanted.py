"""What each published page has, and lacks, to bear its verdicts; and what is under way to it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pandas as pd

from advlib import records, saved
from advlib.batch import store
from advlib.book.publishing import PUBLISHED

WANTED = Path("book/wanted.toml")
UNDERWAY = Path("book/underway")  # records of seeds that a page will have, when it has enough
KEYS = {"page", "says", "parameter", "rows", "at_least"}


def wants() -> list[dict[str, Any]]:
    """The wishes of wanted.toml, those whose page is published.

    Raises ValueError for a key that there is none of.
    """
    if not WANTED.is_file():
        return []
    told = tomllib.loads(WANTED.read_text(encoding="utf-8"))["want"]
    for want in told:
        if unknown := want.keys() - KEYS:
            raise ValueError(f"{WANTED}: {want['page']}: no such key: {sorted(unknown)[0]}")
    return [want for want in told if (PUBLISHED / want["page"]).is_dir()]


def compared() -> pd.DataFrame:
    """A row a wish: page, says, here (NaN where the run has no such row), wanted, met."""
    lines = []
    for want in wants():
        folder = PUBLISHED / want["page"]
        parameters = store.provenance(folder)["parameters"]
        if "rows" in want:
            here = _mean(folder, want["rows"])
        elif want["parameter"] in parameters:
            here = _size(parameters[want["parameter"]])
        else:
            here = 0  # of a time before there was such a parameter
        line = {"page": want["page"], "says": want["says"], "here": here}
        lines.append(line | {"wanted": want["at_least"], "met": here >= want["at_least"]})
    return pd.DataFrame(lines)


def _mean(folder: Path, which: dict[str, Any]) -> float:
    """Of a saved run's rows; NaN if it has no such rows yet."""
    try:
        return records.select(saved.read(folder)[0], **which)["value"].mean()
    except ValueError:
        return float("nan")


def _size(value: Any) -> float:
    """A number, all of them for 0; of a list its length."""
    if isinstance(value, list):
        return len(value)
    return value or float("inf")


def told(rows: pd.DataFrame) -> str:
    """Markdown: a line a wish, those of a page below its name."""
    lines = []
    for page, wishes in rows.groupby("page", sort=False):
        name = page.replace("_", "_<wbr>")  # where a phone may break it
        lines.append(["", f"**[{name}](studies/{page}.ipynb)**", "", ""])
        for wish in wishes.itertuples():
            mark = "✓" if wish.met else "✗"
            share = wish.wanted < 1
            figures = [_text(value, share=share) for value in (wish.here, wish.wanted)]
            lines.append([mark, wish.says, *figures])
    table = pd.DataFrame(lines, columns=["", "page, and what it needs", "here", "wanted"])
    return table.to_markdown(index=False, disable_numparse=True) + "\n"


def _text(value: float, *, share: bool = False) -> str:
    if value == float("inf"):
        return "all"
    if value != value:  # no such row
        return "–"
    return f"{100 * value:.1f}\N{NO-BREAK SPACE}%" if share else f"{value:,.0f}"


def underway() -> str:
    """Markdown: a line for each run in `UNDERWAY`, named after the page that waits for it."""
    lines = []
    for run in sorted(path for path in UNDERWAY.glob("*") if path.is_dir()):
        made = store.provenance(run)
        attacked = made["parameters"].get("attacked_images")  # not each study has the parameter
        lines.append(
            {
                "page": f"[{run.name}](studies/{run.name}.ipynb)",
                "seeds that are done": ", ".join(map(str, made["parameters"]["seeds"])),
                "images attacked": "–" if attacked is None else _text(_size(attacked)),
                "hours": f"{made['seconds'] / 3600:.1f}",
                "made": f"{made['started'][:10]} at commit `{made['commit']}`",
            }
        )
    if not lines:
        return "None are under way.\n"
    return pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True) + "\n"


def write(folder: Path) -> None:
    """The generated parts of the page on evidence, if there are any."""
    if not (rows := compared()).empty:
        (folder / "wanted.md").write_text(told(rows), encoding="utf-8")
    (folder / "underway.md").write_text(underway(), encoding="utf-8")
