"""Paper 002: fine-tuning only the filters that an attack moves most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from advlib.attacks import Attack, craft
from advlib.data import Head, Split, pixels
from advlib.defenses import dominant_filters
from advlib.records import select
from advlib.studies import rules, settings
from advlib.studies.settings import (
    Count,
    CountOrNone,
    DatasetName,
    Eps,
    Fraction,
    NetworkName,
    Seed,
    Share,
    Size,
    Some,
    Step,
)
from advlib.tables import reader_name

CNNS = ("shallow_cnn", "base_cnn", "dense_cnn")  # the paper's
TABLES = {
    ("whole", "fgsm"): "6",
    ("whole", "pgd"): "7",
    ("dominant", "fgsm"): "8",
    ("dominant", "pgd"): "9",
}

TARGETED = {"fgsm": "2", "pgd": "3"}  # the tables of the targeted attacks


class Settings(settings.Settings):
    """The parameters; units and quick defaults are in the notebook."""

    study = "dominant_filters"
    scale = (
        "train_images", "attacked_images", "autoattack_images", "search_images", "models",
        "epochs", "tune_epochs", "control_epochs", "steps", "seeds",
    )  # fmt: skip

    dataset: DatasetName
    size: Size
    train_images: CountOrNone
    test_images: CountOrNone
    attacked_images: CountOrNone
    autoattack_images: CountOrNone
    search_images: Count
    validation: Fraction
    models: Some[NetworkName]
    epochs: Count
    patience: Count
    tune_epochs: Count
    control_epochs: Count
    batch_size: Count
    eps: Eps
    eps_curve: Some[Eps]
    step: Step
    steps: Count
    train_steps: Count
    share: Share
    shares: Some[Share]
    seeds: Some[Seed]

    def check_data(self, heads: Mapping[str, Head]) -> None:
        known = heads["dataset"]
        rules.training_images(known, self.train_images, validation=self.validation)
        rules.at_most("test_images", self.test_images, known.test, "all test images")
        tested = self.test_images or known.test
        rules.attacked_images(self.attacked_images, self.autoattack_images, known, tested)
        rules.takes("models", self.models, known, size=self.size, images=known.train + known.test)


def targeted_pairs(split: Split, classes: int, each: int) -> tuple[Split, Tensor]:
    """`each` images of every class, once for each other class as the target.

    Returns the images with their *targets* in place of labels, and the classes that they are of
    (int64 [N], on the CPU). A class with fewer images gives all it has.
    """
    rows = torch.cat([(split.labels == c).nonzero()[:each, 0] for c in range(classes)])
    sources = split.labels[rows].repeat_interleave(classes)
    targets = torch.arange(classes, device=rows.device).repeat(len(rows))
    other = sources != targets
    repeated = split.images[rows].repeat_interleave(classes, 0)[other]
    return Split(repeated, targets[other]), sources[other].cpu()


def by_pair(reached: Tensor, sources: Tensor, targets: Tensor) -> pd.DataFrame:
    """Share of images that reached their target: a row a class of images, a column a target."""
    cells = {"source": sources, "target": targets.cpu(), "reached": reached.double()}
    return pd.DataFrame(cells).pivot_table("reached", "source", "target")


def moved(network: nn.Module, pairs: Split, attack: Attack, seed: int) -> dict[str, Tensor]:
    """How far the attack moves each filter, image by image (`dominant_filters.effects`)."""
    pushed = craft(network, pairs, attack, seed=seed)
    return dominant_filters.effects(network, pixels(pairs.images), pushed.images)


def votes(moved: Mapping[str, Tensor], sources: Tensor, share: float) -> dict[str, Tensor]:
    """How often each filter is among the most moved `share`, class by class, by convolution."""
    return {
        layer: dominant_filters.top_counts(change.cpu(), sources, share)
        for layer, change in moved.items()
    }


def overlaps(
    network: nn.Module, votes: Mapping[str, Tensor], share: float
) -> Iterator[tuple[str, int, float]]:
    """Mean Jaccard overlap of the classes' own dominant sets, layer by layer, beside chance.

    Gives (metric, number of the convolution, overlap); chance is that of 20 blind draws.
    """
    draws = [dominant_filters.random_filters(network, share, seed=draw) for draw in range(20)]
    for depth, (layer, counts) in enumerate(votes.items(), 1):
        of_class = counts.topk(dominant_filters.kept(share, counts.shape[1]), dim=1).indices
        yield "class overlap", depth, dominant_filters.overlap(list(of_class))
        yield "chance overlap", depth, dominant_filters.overlap([draw[layer] for draw in draws])


def table_of(defense: str, trained_on: str) -> str:
    """The paper's table of a defense fine-tuned on an attack's images; "control" if it has none."""
    return TABLES.get((defense, trained_on), "control")


def tuned(
    rows: pd.DataFrame, *, defenses: Sequence[str], but_shares: Sequence[float] = ()
) -> pd.DataFrame:
    """Accuracies of networks fine-tuned by these defenses, without those of the further shares."""
    rows = select(rows, metric="accuracy", defense=list(defenses))
    return rows[rows["trained_on"].notna() & ~rows["share"].isin(but_shares)]


def on_own_attack(rows: pd.DataFrame) -> pd.DataFrame:
    """Those rows in which a network meets the attack that it was fine-tuned on."""
    return rows[rows["attack"].eq(rows["trained_on"])]


def controls(rows: pd.DataFrame, *, model: str, but_shares: Sequence[float]) -> pd.DataFrame:
    """Under PGD: what was fine-tuned on static PGD images, and what was trained on fresh ones."""
    rows = select(rows, metric="accuracy", model=model, attack=["none", "pgd"])
    static = rows["mix"].eq("benign+adversarial") & rows["trained_on"].eq("pgd")
    return rows[rows["trained_on"].eq("fresh pgd") | (static & ~rows["share"].isin(but_shares))]


def relative(
    model: str, base: nn.Module, seconds: Mapping[str, float], share: float
) -> dict[str, str | float]:
    """What a step of the split network costs, in percent of the whole: time, parameters trained."""
    left = dominant_filters.untrained_share(base, share)
    return {
        "model": model,
        "step time": 100 * seconds["split"] / seconds["whole"],
        "parameters trained": 100 * (1 - left),
    }


def front(rows: pd.DataFrame, *, model: str, but_shares: Sequence[float]) -> pd.DataFrame:
    """The rows of the front page: one network, benign and adversarial images, its own attack."""
    rows = select(rows, metric="accuracy", model=model)
    own = rows["attack"].eq(rows["trained_on"]) & rows["mix"].eq("benign+adversarial")
    fresh = rows["trained_on"].eq("fresh pgd") & rows["attack"].eq("pgd")
    return rows[(own & ~rows["share"].isin(but_shares)) | fresh]


def labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a label for figures: the defense, and the attack that it was tuned on."""
    return rows.assign(what=rows["defense"] + ", " + rows["trained_on"].map(reader_name))
