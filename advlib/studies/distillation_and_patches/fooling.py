"""Steps of the first half: FGSM and patches on networks that others trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from advlib import networks
from advlib.data import Dataset, Split, pixels
from advlib.predictions import best_classes, logits
from advlib.records import Run, select
from advlib.tables import reader_name

PULLS = {  # the tables of trained patches, and what their rows show
    "patches": "trained",
    "turned": "trained, scaled and turned",
    "transfer": "trained on another network",
}
OF_IMAGENET = 224  # pixels; sides of patches are given in these, whatever the images' size
SIDE = "side of the patch, pixels of 224"
STEPS = "training steps of the patch"


def joined(first: Split, second: Split) -> Split:
    """The images of both."""
    return Split(*(torch.cat(parts) for parts in zip(first, second, strict=True)))


def class_names(model: str, images: Dataset) -> list[str]:
    """ImageNet's names of the classes if the network has as many as the set, or the set's own."""
    known = networks.class_names(model)
    return known if len(known) == len(images.classes) else list(images.classes)


def first_of(classes: Sequence[int], *splits: Split) -> Split:
    """The first image of each class, from the first of the splits that has one.

    Raises ValueError for a class that none has.
    """
    found = []
    for label in classes:
        places = [(s, int((s.labels == label).nonzero()[0])) for s in splits if label in s.labels]
        if not places:
            raise ValueError(f"shown, targets: there is no image of class {label}")
        split, place = places[0]
        found.append(Split(*(part[place : place + 1] for part in split)))
    return Split(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def among_first(network: nn.Module, split: Split) -> dict[str, Tensor]:
    """Boolean [N] for top-1 and top-5: the label is among so many first guesses."""
    found = best_classes(network, split.images, 5) == split.labels.cpu()[:, None]
    return {"top-1": found[:, :1].any(1), "top-5": found.any(1)}


def deviation(network: nn.Module) -> float:
    """What the network's first layer divides pixels by, averaged over the channels."""
    return network.normalize.std.mean().item()  # type: ignore[operator, union-attr]


def units(network: nn.Module) -> dict[str, float]:
    """The units in which eps may count, each with its length in pixel units.

    A network that does not divide its pixels has one.
    """
    length = deviation(network)
    return {"pixel": 1.0} | ({"normalised": length} if length < 1 else {})


Guesses = list[list[tuple[int, float]]]  # of each image: classes and their probabilities


def likeliest(network: nn.Module, images: Tensor) -> Guesses:
    """The five likeliest classes of each image, the likeliest first, with their probabilities."""
    guesses = []
    for image in pixels(images):
        shares = logits(network, image[None]).softmax(1)[0]
        best, classes = shares.topk(min(5, len(shares)))
        guesses.append(list(zip(classes.tolist(), best.tolist(), strict=True)))
    return guesses


def keep_guesses(
    run: Run, guesses: Mapping[str, Guesses], few: Split, names: Sequence[str], model: str
) -> None:
    """Keep the network's guesses, under each attack, as rows of the paper's Table II."""
    for attack, seen in guesses.items():
        protocol = "clean" if attack == "none" else "white-box"
        for label, classes in zip(few.labels.tolist(), seen, strict=True):
            for guess, share in classes:
                run.add(
                    "II", "confidence", share, model=model, attack=attack, protocol=protocol,
                    image=names[label], guess=names[guess],
                )  # fmt: skip


def in_pairs(
    few: Split, fooled: Tensor, guesses: Mapping[str, Guesses], names: Sequence[str]
) -> tuple[Tensor, list[list[tuple[str, float]]], list[str]]:
    """Each image and what FGSM makes of it, their guesses and titles, as `plots.guesses` takes
    them."""
    pairs = torch.stack([pixels(few.images).cpu(), fooled.cpu()], 1).flatten(0, 1)
    each = zip(guesses["none"], guesses["fgsm"], strict=True)
    named = [[(names[c][:18], p) for c, p in seen] for pair in each for seen in pair]
    titles = [names[label][:16] + end for label in few.labels.tolist() for end in ("", ", FGSM")]
    return pairs, named, titles


def first_guesses(rows: pd.DataFrame) -> pd.DataFrame:
    """A line for each image of Tables II and III: the first guess and its probability in percent,
    on the clean image and under FGSM."""
    best = rows.groupby(["image", "attack"], sort=False).first().reset_index()
    best["attack"] = best["attack"].map({"none": "clean", "fgsm": "under FGSM"})
    best["%"] = 100 * best["value"]
    wide = best.pivot(index="image", columns="attack", values=["guess", "%"])
    order = [(what, attack) for attack in best["attack"].unique() for what in ("guess", "%")]
    return wide.reindex(best["image"].unique())[order].swaplevel(axis=1).infer_objects()


def errors(rows: pd.DataFrame, paper: pd.DataFrame, eps: Iterable[float]) -> pd.DataFrame:
    """Errors under FGSM at these radii, the paper's and ours; its unit is "paper"."""
    both = pd.concat([paper.assign(units="paper"), rows])
    return both[both["eps"].isin(list(eps))]


def off_the_paper(errors: pd.DataFrame) -> pd.DataFrame:
    """Mean error in percent by unit, over the radii that the paper has, and how far off it is."""
    printed = errors.loc[errors["units"] == "paper", "eps"]
    shared = errors[errors["eps"].isin(printed)]
    means = shared.groupby(["units", "metric"])["value"].mean().mul(100).unstack()
    if "paper" in means.index:
        means["off the paper's"] = means.sub(means.loc["paper"]).abs().mean(axis=1)
    return means


def of_224(side: int, size: int) -> int:
    """The side of a patch on images of `size` pixels as it would be on ImageNet's."""
    return round(OF_IMAGENET * side / size)


def strongest(rows: pd.DataFrame, names: Sequence[str]) -> int:
    """The target that the largest patches reach most often, over all networks."""
    rows = select(rows, metric="top-1 success")
    largest = select(rows, patch=rows["patch"].max())
    return list(names).index(largest.groupby("target")["value"].mean().idxmax())


def turned_into(
    network: nn.Module, images: Tensor, labels: Tensor, names: Sequence[str]
) -> list[str]:
    """ "class → first guess" for each image."""
    guessed = logits(network, images).argmax(1).tolist()
    return [
        f"{names[label][:16]} → {names[guess][:16]}"
        for label, guess in zip(labels.tolist(), guessed, strict=True)
    ]


def photo_of(label: int, side: int, *splits: Split) -> Tensor:
    """The first image of a class (`first_of`) as a patch [C, side, side]."""
    photo = pixels(first_of([label], *splits).images)
    return F.interpolate(photo, (side, side), mode="bilinear", antialias=True)[0].clamp(0, 1)


def size_curve(rows: pd.DataFrame, target: str) -> dict[str, pd.DataFrame]:
    """Success of one target's patches by their size, as `plots.accuracy_against` takes it."""
    rows = select(rows, target=target, metric="top-1 success")
    return {
        SIDE: rows.assign(defense=rows["model"], attack=f"patch: {target}", **{SIDE: rows["patch"]})
    }


def steps_curve(rows: pd.DataFrame, target: str, *, steps: int) -> dict[str, pd.DataFrame]:
    """Success of one target's patches by the steps of their training, a line a network and size, as
    `plots.accuracy_against` takes it; patches without a number of their own had `steps`."""
    rows = select(rows, target=target, metric="top-1 success")
    rows = rows[rows["table"].isin(["patches", "steps"])]
    lines = rows["model"].map(reader_name) + rows["patch"].map(", {:.0f} pixels".format)
    counts = rows["patch_steps"].fillna(steps) if "patch_steps" in rows else steps
    return {STEPS: rows.assign(defense=lines, attack=f"patch: {target}", **{STEPS: counts})}


def pulls(rows: pd.DataFrame) -> pd.DataFrame:
    """First guesses pulled to the target by the largest patches, with what was pasted as `what`."""
    largest = select(rows, table="patches")["patch"].max()
    rows = select(rows, metric="top-1 success", patch=largest)
    rows = rows[rows["table"].isin([*PULLS, "controls"])]
    return rows.assign(what=rows["table"].map(PULLS).fillna(rows["defense"]))


def by_network(pulls: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Success over the targets: a row a network trained on, a column a network shown to."""
    upright = select(pulls, table=["patches"])
    upright = pd.concat([upright, pulls[pulls["table"] == "transfer"]])
    means = upright.pivot_table("value", "made_on", "model", sort=False)
    return means.loc[list(models), list(models)]
