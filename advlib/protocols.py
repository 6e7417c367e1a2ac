"""What an attacker knows, and how the gradient is taken: the words, their order and colours.

Records have a column for each. Tables and figures show one word for both (`shown`).
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from advlib.checks import check_choice


class Word(NamedTuple):
    """A word of the registry."""

    says: str  # a sentence for the reader
    colour: str  # of its bars and lines; told apart by the colour-blind, too (tests/test_plots.py)
    marker: str  # of its lines, as matplotlib names it


PROTOCOLS = {
    "clean": Word("No attack.", "#b1bcab", "o"),
    "noise": Word("Each pixel is moved by eps, up or down at random.", "#ddb26b", "P"),
    "transfer": Word("The images are crafted on another network, trained apart.", "#c86cae", "^"),
    "static": Word("The images are crafted on the undefended network.", "#f58216", "s"),
    "white-box": Word("The images are crafted on the defended network itself.", "#292d55", "D"),
    "adaptive": Word(
        "The images are crafted on the defended network with its trick undone.", "#04635e", "v"
    ),
}
GRADIENTS = {
    "exact": Word("Scaled so that it cannot vanish where a network is sure.", "#292d55", "D"),
    "float32": Word(
        "As the framework's cross-entropy gives it: exactly 0 beyond a margin of about 100.",
        "#8b52bf",
        "<",
    ),
    "clipped": Word("Through probabilities clipped as Keras clips them.", "#6c8854", ">"),
}
NONE = "none"  # in either column: the row is about no images, or no gradient was taken
PAPER = "paper"  # what the paper reports

# The words that tables and figures show, in their order, each with its colour and marker. A
# white-box attack whose gradient may vanish goes by its gradient's name, and stands before it.
_SHOWN = {PAPER: Word("What the paper reports.", "#9d1f0e", "X")}
for _name, _word in PROTOCOLS.items():
    if _name == "white-box":
        _SHOWN |= {name: word for name, word in GRADIENTS.items() if name != "exact"}
    _SHOWN[_name] = _word
COLOURS = {name: word.colour for name, word in _SHOWN.items()}
MARKERS = {name: word.marker for name, word in _SHOWN.items()}
ORDER = tuple(COLOURS)


def check_protocol(name: str) -> None:
    """Raise ValueError, naming what there is, unless `name` is a protocol."""
    check_choice("protocol", name, PROTOCOLS)


def check_gradient(name: str) -> None:
    """Raise ValueError, naming what there is, unless `name` is a way to take the gradient."""
    check_choice("gradient", name, GRADIENTS)


def shown(protocol: str, gradient: str) -> str:
    """The one word for both columns, a key of `COLOURS`.

    A gradient that may vanish gives a white-box attack its name: "float32", "clipped". Under the
    other protocols the protocol does. Raises ValueError for a word that the registry lacks.
    """
    check_choice("protocol", protocol, [*PROTOCOLS, NONE, PAPER])
    check_choice("gradient", gradient, [*GRADIENTS, NONE])
    if protocol == "white-box" and gradient not in ("exact", NONE):
        return gradient
    return protocol


def with_shown(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a column `shown`: the one word for their protocol and gradient.

    Raises ValueError for rows without these columns, or with a word that the registry lacks.
    """
    for column in ("protocol", "gradient"):
        check_choice("column", column, rows.columns)
    pairs = rows[["protocol", "gradient"]].astype(object).fillna(NONE)
    words = {pair: shown(*pair) for pair in set(pairs.itertuples(index=False, name=None))}
    return rows.assign(shown=[words[pair] for pair in pairs.itertuples(index=False, name=None)])
