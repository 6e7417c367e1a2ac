"""How often a verdict errs: `python tests/benchmarks/power.py` fills a table of the protocols page.

A thousand made-up studies for each published page, with its seeds and images and the gain that its
paper reports. In half of them the defense does nothing, in the others it does what the paper says.
The claim is the usual one, at least half of the reported gain; images differ in how hard they are,
networks by their seeds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from advlib import book, files, papers, records, saved
from advlib.batch import store
from advlib.evidence import FEWEST_SEEDS
from advlib.statistics import crossed

STUDIES = 1000
MANY = 10  # seeds
HARD, DICE, OF_SEEDS = 1.0, 0.7, (0.1, 0.4)  # spreads of images, of chance, of seeds (probits)
PAGE = Path(__file__).parents[2] / "book/protocols.md"
# What each paper reports under attack, without and with its defense: rows of its tables.
REPORTED = {
    "aft_fgsm_vs_jsma": (
        {"attack": "fgsm", "metric": "accuracy", "defense": "none"},
        {"attack": "fgsm", "metric": "accuracy", "defense": "AFT-FGSM"},
    ),
    "patch_augmentation": (
        {"table": ["3", "6", "7"], "attack": ["PGD-v2", "PGD-v22"], "defense": "none"},
        {"table": ["3", "6", "7"], "attack": ["PGD-v2", "PGD-v22"], "defense": ["P1", "7-P1"]},
    ),
    "dominant_filters": (
        {"table": "4", "eps": 0.3},
        {"table": "8", "mix": "benign+adversarial", "attack": "fgsm"},
    ),
    "distillation_and_patches": (
        {"table": "XIII", "eps": 0.3},
        {"table": "XIV", "eps": 0.3},
    ),
}


class Design(NamedTuple):
    """A page: how much was run, and what its paper reports."""

    seeds: int
    images: int
    without: float
    gain: float


def main() -> None:
    """Simulate each page and put the table into the protocols page."""
    lines = [
        "| page | seeds | images | reported gain, points | seeds differ | "
        "no effect: said to hold | the reported effect: said to hold | undecided | "
        f"said not to hold | said to hold with {MANY} seeds |",
        "|:--|--:|--:|--:|:--|--:|--:|--:|--:|--:|",
    ]
    for head, design in designs().items():
        if design.seeds < FEWEST_SEEDS:
            lines.append(f"{head} | – | – | 100.0 % | – | – |")
            continue
        for spread, word in zip(OF_SEEDS, ("little", "much"), strict=True):
            dice = np.random.default_rng(0)
            nothing, all_of_it = (shares(dice, design, g, spread) for g in (0.0, design.gain))
            many, *_ = shares(dice, design._replace(seeds=MANY), design.gain, spread)
            told = [nothing[0], *all_of_it, many]
            lines.append(f"{head} {word} | " + " | ".join(f"{100 * s:.1f} %" for s in told) + " |")
    print("\n".join(lines))
    files.fill(PAGE, "power", "\n".join(lines))


def designs() -> dict[str, Design]:
    """The pages that judge a paper's gain, by the beginning of their rows in the table."""
    found = {}
    for page in sorted(book.PUBLISHED.glob("*.ipynb")):
        made = store.provenance(page.with_suffix(""))
        if made["study"] == "synthesis":
            continue  # the bench of all papers has no gain of its own
        design = designed(page.with_suffix(""), made)
        head = f"| {page.stem} | {design.seeds} | {design.images:,} | {100 * design.gain:.0f} |"
        found[head] = design
    return found


def designed(folder: Path, made: dict[str, Any]) -> Design:
    """What a published page ran, and what its paper reports under attack."""
    rows, _ = saved.read(folder)
    attacked = rows[rows["protocol"].eq("white-box") & rows["metric"].eq("accuracy")]
    study = made["study"]
    paper = papers.paper_rows(study)
    if study == "cross_resnet":
        text = paper[
            paper["table"].eq("text") & paper["dataset"].eq(made["parameters"]["paper_set"])
        ]
        gain = float(text.loc[text["metric"].eq("mean gain"), "value"].mean())
        without = float(text.loc[text["metric"].eq("mean accuracy"), "value"].mean())
        without = without if without == without else 0.5  # the text gives none for cats and dogs
    else:
        without, with_it = (
            float(records.select(paper, **wanted)["value"].mean()) for wanted in REPORTED[study]
        )
        gain = with_it - without
    return Design(attacked["seed"].nunique(), int(attacked["n"].max()), without, gain)


def shares(
    dice: np.random.Generator, design: Design, gain: float, of_seeds: float
) -> tuple[float, float, float]:
    """How often a defense with this gain is said to hold, undecided, said not to hold."""
    wanted, verdicts = design.gain / 2, []
    for _ in range(STUDIES):
        low, _, high = crossed(study(dice, design, gain, of_seeds))
        verdicts.append(0 if low >= wanted else 2 if high < wanted else 1)
    return tuple(np.bincount(verdicts, minlength=3) / STUDIES)  # type: ignore[return-value]


def study(dice: np.random.Generator, design: Design, gain: float, of_seeds: float) -> np.ndarray:
    """Differences [S, n] of a made-up study: defended minus undefended, image by image."""
    hard = dice.normal(0, HARD, design.images)
    whole = np.sqrt(HARD**2 + DICE**2 + of_seeds**2)

    def right(share: float) -> np.ndarray:
        level = whole * norm.ppf(np.clip(share, 0.002, 0.998))
        of_network = dice.normal(0, of_seeds, (design.seeds, 1))
        chance = dice.normal(0, DICE, (design.seeds, design.images))
        return level + of_network + hard + chance > 0

    return right(design.without + gain).astype(float) - right(design.without)


if __name__ == "__main__":
    main()
