"""What paper 001 prints: which of it stands beside a run, and what does not fit together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from advlib import tables
from advlib.attacks import Attack, named
from advlib.papers import paper_rows
from advlib.records import select

if TYPE_CHECKING:
    from advlib.studies.patch_augmentation import Settings

# The paper's main table by the set that the attacks are of, and its comparison of defenses.
MAIN = {"cifar10": "3", "empir": "4", "fashion_mnist": "6", "digits": "6", "imagenet": "7"}
OTHERS = {"3": "5", "4": "4"}
DATA = {"digits": "fashion_mnist", "empir": "cifar10"}  # where the set is no data set of the paper
TABLES = {"cifar10": "3", "fashion_mnist": "6", "imagenet": "7"}


class Paper(NamedTuple):
    """The paper's figures that stand beside a run."""

    table: str  # the number of its main table for the attacks of this run
    main: pd.DataFrame  # that table, under the names of this run's networks and variants
    others: pd.DataFrame  # its comparison with other defenses; no row for most data
    by_epochs: pd.DataFrame  # its Table 11 for these data
    all: pd.DataFrame  # all it prints, under its own names


def beside(settings: Settings) -> Paper:
    """The figures of the paper for the attacks of a run.

    A network that the paper lacks stands beside the first one of its table, a variant without a
    size ("P1") beside the first of the run with as many patches, "proposed" beside `variant`.
    """
    rows = paper_rows("patch_augmentation")
    dataset = DATA.get(settings.attack_set, settings.attack_set)
    here, table = rows[rows["dataset"] == dataset], MAIN[settings.attack_set]
    ours = {"proposed": settings.variant} | {
        name: next((v for v in settings.variants if v.endswith(name)), name)
        for name in ("P1", "P2")
    }
    here = here.assign(defense=here["defense"].replace(ours))
    main = here[here["table"] == table]
    resnet = next((model for model in settings.models if model.startswith("resnet")), "resnet")
    main = main.assign(model=main["model"].replace({"resnet": resnet}))
    theirs, first = list(main["model"].unique()), settings.models[0]
    if not set(theirs) & set(settings.models):
        main = main[main["model"] == theirs[0]].assign(model=first)
    others = here[here["table"] == OTHERS.get(table, "")]
    by_epochs = here[here["table"] == "11"].assign(tuned=settings.variant, protocol="paper")
    return Paper(table, main, others, by_epochs, rows)


def printed_twice(rows: pd.DataFrame) -> pd.DataFrame:
    """The figures of the same network, defense and attack that stand in two tables (001-X1)."""
    rows = rows[rows["table"].isin(["3", "5"]) & rows["model"].notna()]
    keys = ["dataset", "model", "defense", "attack", "protocol", "metric"]
    return rows[rows.duplicated(keys, keep=False)]


def minutes(rows: pd.DataFrame) -> pd.DataFrame:
    """The paper's Table 8: minutes of PGD training and of its own defense, and their ratio."""
    printed = tables.named(select(rows, table="8", metric="minutes"))
    wide = printed.set_index(["dataset", "model", "defense"])["value"].unstack(sort=False)
    return wide.assign(ratio=wide["PGD-AT"] / wide["proposed"])


def disorder(rows: pd.DataFrame) -> pd.DataFrame:
    """How often the paper's main tables rank a stronger attack as the weaker one (001-X10 to X12).

    A line for what makes an attack stronger, all else being equal, and for whom it attacks: the
    number of pairs, in how many of them the stronger attack leaves *more*, and by how many points
    at most.
    """
    gaps = [
        {"stronger by": by, "network": whom, "gap": 100 * gap}
        for dataset, table in TABLES.items()
        for by, weaker, stronger in _pairs(named.NAMED[dataset])
        for whom, gap in _gaps(select(rows, table=table), weaker, stronger)
    ]
    groups = pd.DataFrame(gaps).groupby(["stronger by", "network"], sort=False)["gap"]
    columns = {
        "pairs": groups.count(),
        "stronger leaves more": groups.agg(lambda gap: (gap > 0).sum()),
        "at most, points": groups.max().clip(lower=0),
    }
    return pd.DataFrame(columns).reset_index()


def _pairs(attacks: Sequence[Attack]) -> Iterator[tuple[str, str, str]]:
    """Pairs of attacks that differ in one thing: in what, and the weaker and the stronger name."""
    for one, other in combinations(attacks, 2):
        for weak, strong in ((one, other), (other, one)):
            a, b = weak.settings, strong.settings
            if not weak.has("steps"):
                if strong.has("steps") and a["eps"] == b["eps"]:
                    yield "100 steps, not one", weak.name, strong.name
            elif weak.function is strong.function:
                larger = {key for key in ("eps", "restarts") if a.get(key, 1) < b.get(key, 1)}
                differ = {key for key in ("eps", "restarts") if a.get(key) != b.get(key)}
                if larger == differ == {"eps"}:
                    yield "a larger ball", weak.name, strong.name
                elif larger == differ == {"restarts"}:
                    yield "more starts", weak.name, strong.name


def _gaps(rows: pd.DataFrame, weaker: str, stronger: str) -> Iterator[tuple[str, float]]:
    """By how much the stronger attack leaves more, for each network and defense of a table."""
    wide = rows.set_index(["model", "defense", "attack"])["value"].unstack()
    for (_, defense), gap in (wide[stronger] - wide[weaker]).items():
        yield "undefended" if defense == "none" else "fine-tuned", float(gap)
