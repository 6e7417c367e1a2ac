"""Which rows of the study a table or a figure shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from advlib import tables
from advlib.records import select
from advlib.statistics import nearest_protocol
from advlib.studies.patch_augmentation.paper import DATA, Paper

if TYPE_CHECKING:
    from advlib.studies.patch_augmentation import Settings

FIGURE = ["model", "attack", "defense"]  # what tells a figure of a main table


def by_protocol(
    measured: pd.DataFrame,
    printed: pd.DataFrame,
    *,
    index: Sequence[str] = ("model", "attack"),
    turned: bool = False,
) -> tables.Table:
    """`tables.by_protocol` by defense, as a page shows it.

    `turned`: a line a defense, with those that only the paper has.
    """
    only = list(dict.fromkeys(printed["defense"])) if turned else []
    wide = tables.by_protocol(
        tables.named(measured),
        tables.named(printed),
        index=index,
        columns="defense",
        paper_only=only,
    )
    wide = wide.rename(index={"none": "clean images"}, level="attack")
    return tables.table(wide.T if turned else wide, small=True)


def by_attack(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows under attack for `plots.protocols`: a panel an attack, a bar a defense (`what`)."""
    rows = rows[rows["attack"].ne("none") & rows["metric"].eq("accuracy")]
    return rows.assign(what=_named(rows["defense"]), model=rows["attack"])


def nearest(
    rows: pd.DataFrame, paper: Paper, variants: Sequence[str]
) -> tuple[pd.DataFrame, float]:
    """`statistics.nearest_protocol` for the fine-tuned networks under attack."""
    chosen = rows[rows["defense"].isin(variants) & rows["attack"].ne("none")]
    return nearest_protocol(chosen, paper.main, keys=FIGURE)


def on_strong(rows: pd.DataFrame, *, model: str, attack: str) -> pd.DataFrame:
    """The rows of one network under one attack, of all tables together."""
    return select(rows, model=model, attack=attack, metric="accuracy").assign(table="")


def curve(rows: pd.DataFrame, over: str, metric: str = "accuracy") -> pd.DataFrame:
    """The rows of a curve over "steps" or "eps", under attack."""
    rows = select(rows, table=f"{over} curve", attack="pgd", metric=metric)
    return rows.assign(defense=_named(rows["defense"]))


def held(rows: pd.DataFrame) -> pd.DataFrame:
    """What each network keeps of white-box PGD at the radii of the curve, references included; at
    radius 0 of clean images."""
    rows = select(rows, table=["eps curve", "references"], metric="accuracy")
    rows = select(rows, protocol=["clean", "white-box"], attack=["none", "pgd"])
    at = {"eps": rows["eps"].fillna(0.0), "attack": "pgd"}
    return rows.assign(defense=_named(rows["defense"]), **at)


def compared(rows: pd.DataFrame, paper: Paper, settings: Settings) -> pd.DataFrame:
    """The rows of all defenses of the first network, without the blind attack."""
    rows = select(rows, model=settings.models[0], metric="accuracy")
    ours = rows["table"].eq(paper.table) & rows["defense"].isin(_three(settings))
    rows = rows[ours | rows["table"].isin(["5", "9"])]
    return rows[rows["gradient"].ne("clipped")]


def tuned_longer(rows: pd.DataFrame, paper: Paper, attack: str) -> pd.DataFrame:
    """Rows by epochs of fine-tuning, under one attack, with the paper's Table 11 (`tuned`)."""
    rows = select(rows, table="ablations", attack=attack)
    parts = rows["defense"].str.extract(r"^(?P<tuned>.+), epochs: (?P<epochs>\d+)$")
    swept = pd.concat([rows.assign(**parts)[parts["epochs"].notna()], paper.by_epochs])
    return swept.assign(epochs=swept["epochs"].astype(float))


def against_cost(
    rows: pd.DataFrame, paper: Paper, model: str, attack: str, passes: Mapping[str, int]
) -> pd.DataFrame:
    """The rows of one network under one attack and AutoAttack, with the defense's `passes`."""
    rows = rows[rows["model"].eq(model) & rows["gradient"].ne("clipped")]
    judged = rows["table"].isin([paper.table, "5"]) & rows["attack"].eq(attack)
    rows = rows[judged | rows["table"].eq("9")]
    return rows.assign(passes=rows["defense"].map(passes), defense=_named(rows["defense"]))


def for_claims(rows: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The rows under the names of claims.toml, with the paper's data whose figures they meet."""
    names = {
        r"^\d+-P\d+$": "proposed",
        f"^{settings.variant}, epochs: {min(settings.epochs_curve)}$": "fewest epochs",
        f"^{settings.variant}, epochs: {max(settings.epochs_curve)}$": "most epochs",
    }
    dataset = DATA.get(settings.attack_set, settings.attack_set)
    return rows.assign(defense=rows["defense"].replace(names, regex=True), dataset=dataset)


def front(
    rows: pd.DataFrame, paper: Paper, settings: Settings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the front page shows: the table, and the rows of its bars."""
    first, three = settings.models[0], _three(settings)
    rows = select(rows, table=paper.table, model=first, defense=three, metric="accuracy")
    rows = rows[rows["attack"] != "none"]
    printed = paper.main[paper.main["model"].eq(first) & paper.main["attack"].ne("none")]
    printed = printed[printed["defense"].isin(three)]
    table = tables.beside(tables.named(rows), printed, index=["attack", "defense"], columns=[])
    return table.reset_index(), by_attack(rows)


def _three(settings: Settings) -> list[str]:
    """The undefended network, the variant of the ablations, and the control."""
    return ["none", settings.variant, "unaltered"]


def _named(defense: pd.Series) -> pd.Series:
    """Defenses as figures name them."""
    return defense.replace("none", "undefended")
