"""All five papers' defenses and the usual yardsticks on one bench."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import pandas as pd
from torch import Tensor, nn

from advlib.checks import check_choice
from advlib.data import Head, Split, pixels
from advlib.defenses import dominant_filters
from advlib.defenses.patch_augmentation import parse
from advlib.protocols import ORDER, with_shown
from advlib.records import select
from advlib.studies import rules, settings
from advlib.studies.settings import (
    Count,
    DatasetName,
    Eps,
    Gamma,
    NetworkName,
    Rate,
    Seed,
    Share,
    Size,
    Some,
    Step,
    Temperature,
    Width,
    Words,
    checked,
)
from advlib.worst_case import WORST

TABLE = "bench"  # of what every network met
STEPS = ("static", "transfer", "white-box, FGSM", "white-box, PGD", WORST)  # of `left`
COPIES = 3  # of the training images that the lesson from another network adds, a radius each


class Defense(NamedTuple):
    """A line of the bench."""

    paper: str  # its number, or "" for a yardstick
    says: str


DEFENSES = {
    "none": Defense("", "the undefended network itself"),
    "augmentation": Defense("", "trained anew on images that are turned, moved, lit otherwise"),
    "FGSM fine-tuning": Defense("000", "fine-tuned on FGSM images of a few hundred images"),
    "JSMA fine-tuning": Defense("000", "fine-tuned on JSMA images of a few hundred images"),
    "altered patches": Defense("001", "fine-tuned on images in which a patch is altered"),
    "dominant filters": Defense("002", "a tenth of the filters fine-tuned on PGD images"),
    "another's images": Defense("003", "trained anew with FGSM images of another network"),
    "distillation": Defense("004", "a student of a teacher's soft labels, at a temperature"),
    "FGSM-AT": Defense("", "one FGSM step, crafted anew in each training step"),
    "Fast AT": Defense("", "one PGD step from a random start, anew in each training step"),
    "PGD-AT": Defense("", "many PGD steps, anew in each training step"),
    "TRADES": Defense("", "the same answer around each image, searched anew in each step"),
}
HOLDS = 0.1  # of accuracy that a defense must add in the worst case to be said to hold
OF_PAPERS = tuple(name for name, of in DEFENSES.items() if of.paper)

DefenseNames = Annotated[
    Words, checked(lambda names: [check_choice("autoattacked", n, DEFENSES) for n in names])
]


class Settings(settings.Settings):
    """The parameters; units and quick defaults are in the notebook."""

    study = "synthesis"
    paper = False
    scale = (
        "dataset", "train_images", "model", "width", "epochs", "tune_epochs", "robust_epochs",
        "attacked_images", "autoattacked", "seeds",
    )  # fmt: skip

    dataset: DatasetName
    label: str
    size: Size
    train_images: Count
    model: NetworkName
    width: Width
    epochs: Count
    tune_epochs: Count
    robust_epochs: Count
    batch_size: Count
    lr: Rate
    tune_lr: Rate
    robust_lr: Rate
    distilled_lr: Rate
    few_images: Count
    variant: Annotated[str, checked(parse)]
    share: Share
    temperature: Temperature
    flip: bool
    eps: Eps
    step: Step
    steps: Count
    restarts: Count
    train_steps: Count
    queries: Count
    gamma: Gamma
    attacked_images: Count
    autoattacked: DefenseNames
    seeds: Some[Seed]

    def check_data(self, heads: Mapping[str, Head]) -> None:
        known = heads["dataset"]
        rules.training_images(known, self.train_images)
        rules.at_most("few_images", self.few_images, self.train_images, "train_images")
        rules.at_most("attacked_images", self.attacked_images, known.test, "all test images")
        size, images = self.size, known.train + known.test
        rules.takes("model", [self.model], known, size=size, width=self.width, images=images)


def listing() -> pd.DataFrame:
    """The lines of the bench: a defense, the paper that it is from, what it does."""
    lines = [(name, of.paper or "–", of.says) for name, of in DEFENSES.items()]
    return pd.DataFrame(lines, columns=["defense", "paper", "what it does"])


def passes(settings: Settings) -> dict[str, float]:
    """How often each defense takes the training set forward and backward through a network.

    The first training is counted, and so are the steps of attacks and a teacher's or another
    network's training. A step of PGD is a pass, and so is learning what comes of it; TRADES learns
    from two images. JSMA goes backward twice a step, at its most steps.
    """
    first, tune, robust = settings.epochs, settings.tune_epochs, settings.robust_epochs
    few = settings.few_images / settings.train_images
    strokes = settings.gamma * settings.size**2  # two backward passes for two pixels
    copies = 1 + COPIES
    return {
        "none": first,
        "augmentation": copies * first,
        "FGSM fine-tuning": first + few * (1 + tune),
        "JSMA fine-tuning": first + few * (strokes + tune),
        "altered patches": first + 2 * tune,
        "dominant filters": first + settings.steps + 2 * tune,
        "another's images": first + COPIES + copies * first,
        "distillation": 2 * first,
        "FGSM-AT": first + 2 * robust,
        "Fast AT": first + 2 * robust,
        "PGD-AT": first + (1 + settings.train_steps) * robust,
        "TRADES": first + (2 + settings.train_steps) * robust,
    }


def moved(network: nn.Module, before: Split, crafted: Split) -> dict[str, Tensor]:
    """How far an attack moves each filter (`dominant_filters.effects`) on the images `before`, of
    which `crafted` begins with the adversarial ones."""
    after = crafted.images[: len(before.images)]
    return dominant_filters.effects(network, pixels(before.images), after)


def matrix(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy: a line a defense, a column an attack under a protocol, the worst case last."""
    rows = with_shown(rows)
    mean = rows.groupby(["defense", "attack", "shown"])["value"].mean()
    attacks = [name for name in dict.fromkeys(rows["attack"]) if name not in ("none", WORST)]
    order = [("none", "clean")]
    order += [(attack, word) for word in ORDER for attack in attacks]
    order += [(WORST, "white-box")]
    wide = mean.unstack(["attack", "shown"])
    wide = wide[[pair for pair in order if pair in wide.columns]]
    wide = wide.reindex([name for name in DEFENSES if name in wide.index])
    wide.columns = [_head(*pair) for pair in wide.columns]
    return wide


def _head(attack: str, word: str) -> str:
    if attack == WORST:
        return WORST
    return "clean" if attack == "none" else f"{attack}, {word}"


def left(rows: pd.DataFrame, defenses: Sequence[str] = OF_PAPERS) -> pd.DataFrame:
    """What each defense adds to the undefended network's accuracy, step by step, in points.

    A row a defense and one of `STEPS`: under `static` and `transfer` with PGD's images, then with
    those crafted on the defended network by FGSM, by PGD, and in the worst case of all.
    """
    pairs = {
        "static": ("PGD", "static"),
        "transfer": ("PGD", "transfer"),
        "white-box, FGSM": ("FGSM", "white-box"),
        "white-box, PGD": ("PGD", "white-box"),
        WORST: (WORST, "white-box"),
    }
    mean = with_shown(rows).groupby(["defense", "attack", "shown"])["value"].mean()
    lines = [
        {"defense": name, "step": step, "gain": 100 * (mean[name, *pair] - mean["none", *pair])}
        for name in defenses
        for step, pair in pairs.items()
    ]
    return pd.DataFrame(lines)


def worst(rows: pd.DataFrame, **columns: Mapping[str, float]) -> pd.DataFrame:
    """The rows of the worst case; further columns are values by the defense's name."""
    rows = select(rows, attack=WORST, protocol="white-box")
    made = {name: rows["defense"].map(dict(of)) for name, of in columns.items()}
    return rows.assign(**made)


def clean(rows: pd.DataFrame) -> dict[str, float]:
    """Mean accuracy on clean images in percent, by defense."""
    return select(rows, protocol="clean").groupby("defense")["value"].mean().mul(100).to_dict()


def missed_by_pgd(rows: pd.DataFrame) -> pd.DataFrame:
    """What PGD leaves of each network beside the worst case, in percent: what it missed.

    A line a defense whose worst case is above 0, the largest difference first.
    """
    shown = with_shown(rows)
    of_pgd = shown[shown["attack"].eq("PGD") & shown["shown"].eq("white-box")]
    both = pd.DataFrame(
        {
            "PGD": of_pgd.groupby("defense")["value"].mean().mul(100),
            WORST: worst(rows).groupby("defense")["value"].mean().mul(100),
        }
    )
    both["missed"] = both["PGD"] - both[WORST]
    both = both[both[WORST] > 0].sort_values("missed", ascending=False)
    return both.rename_axis(index="defense")


def for_findings(rows: pd.DataFrame, passes: Mapping[str, float]) -> dict[str, Any]:
    """Names for findings.md: which defenses hold, which of them is the cheapest.

    A defense holds whose worst case lies at least `HOLDS` above the undefended network's.
    """
    kept = worst(rows).groupby("defense")["value"].mean()
    holding = [name for name in DEFENSES if kept[name] >= kept["none"] + HOLDS]
    gained = {name: kept[name] - kept["none"] for name in OF_PAPERS}
    return {
        "of_papers": OF_PAPERS,
        "passes": passes,
        "kept": kept.to_dict(),
        "holding": holding,
        "cheapest": min(holding, key=passes.__getitem__, default=""),
        "best_of_papers": max(gained, key=gained.__getitem__),
    }


def front(rows: pd.DataFrame) -> pd.DataFrame:
    """The front page's table, in percent: a line a defense, PGD by protocol, the worst case."""
    wide = matrix(rows[rows["attack"].isin(["none", "PGD", WORST])]).mul(100)
    wide = wide.rename(columns=lambda head: head.removeprefix("PGD, "))
    return wide.rename_axis(index="defense").reset_index()
