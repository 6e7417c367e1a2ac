"""Paper 000: fine-tuning on FGSM or JSMA images."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Self

import pandas as pd
import torch
from pydantic import model_validator
from torch import Tensor, nn

from advlib.attacks import Attack, craft
from advlib.data import Head, Split, pixels, title
from advlib.evaluation import Subject
from advlib.predictions import confusion, correct, logits
from advlib.records import Run, select
from advlib.studies import rules, settings
from advlib.studies.settings import (
    Count,
    CountOrNone,
    DatasetName,
    DatasetNameOrNone,
    Eps,
    Gamma,
    NetworkName,
    Rate,
    Seed,
    Size,
    Some,
    Step,
    Theta,
    Width,
)
from advlib.tables import Table, reader_name, stacked, table
from advlib.training import SCHEDULES

TABLES = {"I": "none", "II": "AFT-FGSM", "III": "AFT-JSMA"}  # the paper's, each of a network
CONTROLLED = ["none", "AFT-FGSM", "AFT-JSMA", "fresh PGD"]  # beside the positive control
# What a figure of the paper's text compares a network's accuracy with.
COMPARED = {
    "ratio": "adversarial / original",
    "relative gain": "change against the base network",
    "gain over AFT-FGSM": "change against AFT-FGSM",
}


class Settings(settings.Settings):
    """The parameters; units and quick defaults are in the notebook."""

    study = "aft_fgsm_vs_jsma"
    scale = (
        "dataset", "test_dataset", "train_images", "model", "width", "epochs", "tune_images",
        "counts", "few", "steps", "control_epochs", "autoattack_images", "seeds",
    )  # fmt: skip

    dataset: DatasetName
    label: str
    test_dataset: DatasetNameOrNone
    size: Size
    train_images: CountOrNone
    model: NetworkName
    width: Width
    epochs: Count
    batch_size: Count
    lr: Rate
    flip: bool
    shift: CountOrNone
    tune_images: Count
    tune_batch: Count
    tune_lr: Rate
    eps: Eps
    eps_curve: Some[Eps]
    eps_shown: Some[Eps]
    step: Step
    steps: Count
    theta: Theta
    gamma: Gamma
    gamma_curve: Some[Gamma]
    theta_curve: Some[Theta]
    tune_lrs: Some[Rate]
    counts: Some[Count]
    few: Count
    control_epochs: Count
    autoattack_images: CountOrNone
    seeds: Some[Seed]

    @model_validator(mode="after")
    def _fewer(self) -> Self:
        for name in ("few", "autoattack_images"):
            rules.at_most(name, getattr(self, name), max(self.counts), "the largest of counts")
        rules.at_most("shift", self.shift, self.size - 1, "less than size")
        return self

    def check_data(self, heads: Mapping[str, Head]) -> None:
        known = heads["dataset"]
        learned = rules.training_images(known, self.train_images)
        rules.at_most("tune_images", self.tune_images, learned, "all training images")
        judged = heads.get("test_dataset", known)
        rules.at_most("counts", max(self.counts), judged.test, "all test images")
        images = learned + known.test
        rules.takes("model", [self.model], known, size=self.size, width=self.width, images=images)
        channels = known.channels or judged.channels  # None where only the images tell
        if (judged.classes, judged.channels or channels) != (known.classes, channels):
            raise ValueError(
                f"test_dataset: must have the {known.classes} classes and {channels} channels of "
                f"{self.dataset}; {self.test_dataset} has {judged.classes} and {judged.channels}"
            )
        if self.autoattack_images:
            rules.autoattackable("autoattack_images", known, "give it 0")


def drawn(split: Split, count: int, seed: int) -> Split:
    """`count` images of a split, drawn with a seed."""
    order = torch.randperm(len(split.labels), generator=torch.Generator().manual_seed(seed))
    return Split(*(part[order[:count].to(part.device)] for part in split))


def by_count(
    run: Run, table: str, subject: Subject, split: Split, attack: Attack, counts: Sequence[int]
) -> None:
    """Rows of Tables I to III: accuracy on a draw of images and on what the attack crafts of it on
    the network itself, on the first of them for each of `counts`."""
    crafted = craft(subject.network, split, attack, seed=subject.seed or 0)
    of = {"model": subject.model, "defense": subject.defense, "seed": subject.seed}
    shown: tuple[tuple[Split, dict[str, Any]], ...] = (
        (split, {"attack": "none", "protocol": "clean", "eps": None}),
        (crafted, {"attack": attack.name, "protocol": "white-box", "eps": attack.eps}),
    )
    for part, how in shown:
        right = correct(subject.network, part)
        for count in counts:
            columns = {**of, **how, "sample": attack.name, "images": count}
            run.add(table, "accuracy", right[:count], **columns)


def labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows in the words of the paper's tables: "base", "original", and, in the column "images
    for", the attack that the images were drawn for."""
    rows = rows.assign(
        defense=rows["defense"].replace("none", "base"),
        attack=rows["attack"].replace("none", "original").map(reader_name),
    )
    if "images" in rows:
        rows["images"] = rows["images"].astype("Int64")
        rows["images for"] = rows["sample"].map(reader_name, na_action="ignore")
    return rows


def beside_paper(rows: pd.DataFrame, paper: pd.DataFrame, *, caption: str) -> Table:
    """One of Tables I to III: the paper's figure in each cell, and ours with its interval."""
    rows, paper = labelled(rows), labelled(paper)
    cells = stacked(rows, paper, index=["images for", "attack"], columns="images")
    return table(cells, caption=caption, small=True)


def by_attack(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows under attack with the attack in place of the network: a panel each in figures."""
    rows = labelled(rows[rows["attack"].ne("none")])
    return rows.assign(model=rows["attack"])


def titled(rows: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """The rows with each data set under the title that readers know, or under its label."""
    return rows.assign(dataset=[title(name, labels.get(name, "")) for name in rows["dataset"]])


def rates(images: int, batch: int) -> pd.DataFrame:
    """The rate in each step of one epoch on so many images, as a share of its peak."""
    steps = -(-images // batch)
    factors = [SCHEDULES["slow_fast"](step / steps) for step in range(steps)]
    named = {str(step): [factor] for step, factor in enumerate(factors, 1)}
    return pd.DataFrame(named, index=["rate / peak"]).round(4).rename_axis(columns="step")


def pictures(
    network: nn.Module, before: Split, after: Mapping[str, Split], classes: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """Images and captions for `plots.examples`, a line an image: as it is and after each attack,
    with the network's guess, and what the attack changed, enlarged (grey is no change)."""
    variants = {"original": before, **after}
    guesses = {
        name: [classes[guess] for guess in logits(network, part.images).argmax(1).tolist()]
        for name, part in variants.items()
    }
    shown: dict[str, list[Tensor]] = {}
    captions: dict[str, list[str]] = {}
    for nth, label in enumerate(before.labels.tolist()):
        line = f"image {nth + 1}, class {classes[label]}"
        start = pixels(before.images[nth]).cpu()
        shown[line], captions[line] = [start], [f"original: {guesses['original'][nth]}"]
        for name, part in after.items():
            image = part.images[nth].cpu()
            change = image - start
            most = change.abs().max().clamp(min=1e-9)
            shown[line] += [image, 0.5 + change / (2 * most)]
            count = f"{int(change.ne(0).sum()):,} of {change.numel():,}"
            captions[line] += [f"{name}: {guesses[name][nth]}", f"changed: {count}"]
    return {line: torch.stack(images) for line, images in shown.items()}, captions


def changes(before: Split, after: Mapping[str, Split]) -> pd.DataFrame:
    """How many features each attack changes, and how far: a line an attack, means over images."""
    lines = []
    for name, part in after.items():
        change = (part.images.cpu() - pixels(before.images).cpu()).abs().flatten(1)
        lines.append(
            {
                "attack": reader_name(name),
                "features changed, %": 100 * change.gt(0).double().mean().item(),
                "largest change": change.amax(1).mean().item(),
                "mean change": change.mean().item(),
            }
        )
    return pd.DataFrame(lines)


def by_gamma(rows: pd.DataFrame, paper: pd.DataFrame, features: int) -> pd.DataFrame:
    """What JSMA leaves of the base network at each gamma, how many features it may change, and how
    far that is from what it leaves of the paper's, in points."""
    printed = select(paper, table="I", attack="jsma")["value"].mean()
    left = select(rows, defense="none", attack="jsma").groupby("gamma")["value"].mean()
    steps = [int(gamma * features / 2 + 1e-9) for gamma in left.index]  # as `jsma` counts them
    lines = {
        "gamma": left.index.map("{:g}".format),
        "steps": steps,
        "features changed, at most": [2 * count for count in steps],
        "accuracy, %": 100 * left,
        "above the paper's, points": 100 * (left - printed),
    }
    return pd.DataFrame(lines)


def impossible(paper: pd.DataFrame, seeds: int) -> pd.DataFrame:
    """The cells that no mean over so many seeds has: k hits among all their images are k / (seeds
    × images). A cell counts as printed to as many digits as its figure has."""
    lines = []
    for row in paper.itertuples():
        total, percent = seeds * int(row.images), 100 * row.value
        digits = max(0, len(f"{row.value:g}".partition(".")[2]) - 2)
        hits = round(row.value * total)
        if all(round(100 * near / total, digits) != round(percent, digits)
               for near in (hits - 1, hits, hits + 1)):  # fmt: skip
            low = int(row.value * total)
            lines.append(
                {
                    "table": row.table,
                    "images for": reader_name(row.sample),
                    "attack": reader_name(row.attack).replace("none", "original"),
                    "images": int(row.images),
                    "printed": percent,
                    "nearest below": 100 * low / total,
                    "nearest above": 100 * (low + 1) / total,
                }
            )
    return pd.DataFrame(lines).round(3)


def averages(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over all columns of Tables I to III, in percent."""
    rows = labelled(select(rows, table=list(TABLES)))
    means = rows.groupby(["defense", "images for", "attack"], sort=False)["value"].mean()
    return means.mul(100).round(3).unstack("attack")


def text_figures(rows: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """The figures of the paper's text, each beside what its tables give and what ours do."""
    tables = select(paper, table=list(TABLES))
    largest = tables[tables["images"].eq(tables["images"].max())]
    lines = []
    for figure in select(paper, table="text").itertuples():
        written = "{:.2f}".format if figure.metric == "ratio" else "{:+.1%}".format
        shares = [_compared(figure, of) for of in (tables, largest, rows)]
        gain = "" if figure.metric == "ratio" else f"{100 * shares[0][1]:+.1f}"
        lines.append(
            {
                "figure": COMPARED[figure.metric],
                "network": figure.defense.replace("none", "base"),
                "images": reader_name(figure.attack).replace("none", "original"),
                "its text": written(figure.value),
                "its tables": written(shares[0][0]),
                "its 1,000 images": written(shares[1][0]),
                "its tables, points": gain,
                "here": written(shares[2][0]),
            }
        )
    return pd.DataFrame(lines)


def _compared(figure: Any, rows: pd.DataFrame) -> tuple[float, float]:
    """What a figure of the text is in these rows: the ratio or the relative change of two mean
    accuracies, and their difference."""
    samples = [figure.sample] if isinstance(figure.sample, str) else ["fgsm", "jsma"]
    rows = select(rows, table=list(TABLES), sample=samples)
    ratio = figure.metric == "ratio"
    other = {"ratio": figure.defense, "relative gain": "none"}.get(figure.metric, "AFT-FGSM")
    reference = {"defense": other, "attack": "none" if ratio else figure.attack}
    after = select(rows, defense=figure.defense, attack=figure.attack)["value"].mean()
    before = select(rows, **reference)["value"].mean()
    return after / before - (0 if ratio else 1), after - before


def confusions(
    subjects: Sequence[Subject], draws: Mapping[str, Split], attacks: Mapping[str, Attack]
) -> dict[str, Tensor]:
    """Confusion matrices by title: each network on a draw of images, and on what each attack crafts
    on it of its own draw."""
    matrices = {}
    for subject, kind in itertools.product(subjects, ("none", *draws)):
        split = draws[next(iter(draws)) if kind == "none" else kind]
        if kind != "none":
            split = craft(subject.network, split, attacks[kind], seed=subject.seed or 0)
        name = subject.defense.replace("none", "base")
        shown = reader_name(kind).replace("none", "original")
        matrices[f"{name}: {shown}"] = confusion(subject.network, split)
    return matrices
