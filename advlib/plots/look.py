"""The look of all figures: letters, colours and markers, and how a notebook shows a figure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

from advlib.plots import interactive
from advlib.protocols import COLOURS, MARKERS, PAPER

WIDTH = 7.5  # inches; a page's text is as wide
SMALLEST = 9  # points, of any text
DOTS = 120  # an inch, of a figure with photos
SCALE = "rocket_r"  # of every heatmap: dark is more
EDGE = "#222222"  # around markers: light ones are seen on white
ZERO = "#666666"  # the line at 0 %

# Of defenses and networks: the undefended one first. Told apart by the colour-blind, too
# (tests/test_plots.py). Colours and markers come round at different times, so that 56 names differ.
PALETTE = (
    "#1c3120", "#305ec9", "#e3b10b", "#4bcf7b", "#bc4a7e", "#b3b4eb", "#c22607", "#53005e",
)  # fmt: skip
PALETTE_MARKERS = "osD^vP<>*"
UNDEFENDED = ("none", "undefended", "base", "plain network")


class Look(NamedTuple):
    """How a line or a bar is drawn."""

    colour: str
    marker: str
    dash: str = "-"

    def line(self) -> dict[str, Any]:
        """What `Axes.plot` takes."""
        return {"color": self.colour, "linestyle": self.dash} | self.points()

    def points(self) -> dict[str, Any]:
        """What `Axes.plot` takes for the markers alone, if `linestyle` is none."""
        return {
            "marker": self.marker, "markerfacecolor": self.colour, "markeredgecolor": EDGE,
            "markeredgewidth": 0.6,
        }  # fmt: skip


HERE = Look(PALETTE[1], "o")  # of a figure with one kind of line

_met: list[str] = []  # the page's defenses and networks, in the order in which they were met


def style() -> None:
    """Set the look of all figures; to be called at the top of a notebook.

    Under IPython a figure is shown as SVG, or as PNG if there is a photo in it. Defenses and
    networks get their colours anew, in the order in which they are drawn (`palette`).
    """
    _met.clear()
    _show_one_format()
    sns.set_theme(style="whitegrid", context="paper")
    sizes: dict[Any, Any] = dict.fromkeys(
        [
            "font.size", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize",
            "legend.title_fontsize",
        ],
        SMALLEST,
    )  # fmt: skip
    plt.rcParams.update(sizes | {"axes.titlesize": 10, "figure.titlesize": 10})
    plt.rcParams.update(
        {
            "figure.dpi": DOTS, "savefig.dpi": DOTS, "figure.constrained_layout.use": True,
            "lines.linewidth": 1.5, "lines.markersize": 5.5,
            "axes.formatter.limits": (-5, 7),  # no factor of ten in small letters
            "svg.hashsalt": "advlib", "svg.fonttype": "path",  # the same on every machine
        }
    )  # fmt: skip


def protocol(word: str) -> Look:
    """How a protocol is drawn everywhere, and what the paper reports."""
    return Look(COLOURS[word], MARKERS[word], {PAPER: "--", "adaptive": ":"}.get(word, "-"))


def palette(names: Iterable[str]) -> dict[str, Look]:
    """How defenses or networks are drawn: the same name alike in all figures of a page.

    The undefended network is always drawn alike; others take the next colour and marker when they
    are first met after `style()`.
    """
    looks = {}
    for name in dict.fromkeys(names):
        if name in UNDEFENDED:
            looks[name] = Look(PALETTE[0], PALETTE_MARKERS[0])
            continue
        if name not in _met:
            _met.append(name)
        place = _met.index(name)
        colour = PALETTE[1 + place % (len(PALETTE) - 1)]
        looks[name] = Look(colour, PALETTE_MARKERS[1 + place % (len(PALETTE_MARKERS) - 1)])
    return looks


def svg(figure: Figure) -> str | None:
    """The figure as SVG, the same for the same figure; None for one with photos."""
    from IPython.core.pylabtools import print_figure

    if _has_photo(figure):
        return None
    metadata = dict.fromkeys(["Creator", "Date", "Format", "Type"])
    text = print_figure(figure, "svg", bbox_inches=None, metadata=metadata)
    # Without the declaration and the DOCTYPE, which a page has no use for.
    return text and text[text.index("<svg") :]


def png(figure: Figure) -> bytes | None:
    """A figure with photos as PNG; None for others."""
    from IPython.core.pylabtools import print_figure

    return print_figure(figure, "png", bbox_inches=None, dpi=DOTS) if _has_photo(figure) else None


def _has_photo(figure: Figure) -> bool:
    return any(axis.images for axis in figure.axes)


def _show_one_format() -> None:
    """Under IPython, let a figure be shown as `svg` or `png` says, in no other format, with its
    lines for the page's script beside."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None or shell.display_formatter is None:
        return
    # The inline backend sets its own formats when it is loaded: it must not do so after us.
    plt.switch_backend(plt.get_backend())
    formatters = shell.display_formatter.formatters
    for formatter in formatters.values():
        formatter.pop(Figure, None)
    formatters["image/svg+xml"].for_type(Figure, svg)
    formatters["image/png"].for_type(Figure, png)
    shell.display_formatter.mimebundle_formatter.for_type(Figure, interactive.bundle)
