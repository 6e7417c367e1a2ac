"""The figures: what they show, and the look that all of them share."""

import itertools

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb
from nbclient import NotebookClient

from advlib import plots
from advlib.plots import look
from advlib.protocols import COLOURS, MARKERS, ORDER, PAPER

ROWS = pd.DataFrame(
    [
        {
            "model": model, "attack": attack, "trained_on": attack, "protocol": protocol,
            "gradient": "exact", "defense": defense, "eps": eps, "share": eps, "value": value,
        }
        for model in ("shallow_cnn", "base_cnn")
        for attack in ("fgsm", "pgd")
        for defense in ("whole", "dominant")
        for protocol, value in (("static", 0.9), ("white-box", 0.1))
        for eps in (0.1, 0.3)
    ]
)  # fmt: skip


@pytest.fixture(autouse=True)
def closed():
    plots.style()
    yield
    plt.close("all")


def texts(figure):
    figure.canvas.draw()
    return {t.get_text() for t in figure.findobj(plt.Text) if t.get_text()}


def labels(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_protocols_show_every_bar_and_name_both_protocols():
    figure = plots.protocols(ROWS, "defense")
    assert {"static", "white-box", "shallow", "base", "whole", "dominant"} <= texts(figure)
    assert len(figure.axes) == 2
    widths = [bar.get_width() for bar in figure.axes[0].patches if bar.get_width()]
    assert sorted(widths) == pytest.approx([10, 10, 90, 90])


def test_accuracy_against_eps_shows_the_papers_figures_too():
    figure = plots.accuracy_against_eps(ROWS, ROWS.assign(value=0.4))
    assert {"FGSM, shallow", "PGD, base", "ε, pixel units", "paper"} <= texts(figure)
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2][:2]
    assert [line.get_ydata()[0] for line in lines] == pytest.approx([40, 50])
    assert [line.get_color() for line in lines] == [COLOURS[PAPER], look.PALETTE[1]]


def test_accuracy_against_has_a_panel_a_setting_and_a_line_a_defense():
    figure = plots.accuracy_against({"eps": ROWS[ROWS["attack"] == "fgsm"], "share": ROWS})
    assert {"FGSM", "FGSM, PGD", "ε, pixel units", "share", "whole", "dominant"} <= texts(figure)
    drawn = [line.get_ydata() for line in figure.axes[0].lines if line.get_label()[0] != "_"]
    assert len(drawn) == 2
    assert all(y == pytest.approx([50, 50]) for y in drawn)  # the mean of both protocols


def test_accuracy_by_count_shows_each_seed_with_its_interval_and_the_paper():
    rows = pd.DataFrame(
        [
            {"attack": "jsma", "images": n, "n": n, "seed": seed, "value": value}
            for n in (50, 1000)
            for seed, value in enumerate((0.5, 0.6))
        ]
    )
    figure = plots.accuracy_by_count(rows, rows[rows["seed"] == 0])
    assert {"JSMA", "50", "1,000", "here, one seed"} <= texts(figure)
    bars = [line.get_ydata() for line in figure.axes[0].lines if line.get_marker() == "None"][:4]
    heights = [high - low for low, high in bars]
    assert labels(figure) == ["paper", "here, one seed"]
    assert min(heights[:2]) > 4 * max(heights[2:])  # 50 images decide little


def cells(axis):
    return axis.collections[0].get_array()


def test_confusions_are_in_percent_of_the_true_class():
    tables = {f"network {n}": torch.tensor([[3, 1], [0, 8]]) for n in range(4)}
    figure = plots.confusions(tables, ["cat", "dog"])
    assert {"network 3", "cat", "true class", "first guess", "of the true class, %"} <= texts(
        figure
    )
    assert len(figure.axes) == 4 + 1
    assert cells(figure.axes[0]).tolist() == [[75, 25], [0, 100]]


def test_share_curves_have_a_line_a_protocol():
    figure = plots.share_curves(ROWS)
    assert labels(figure) == ["static", "white-box"]
    assert {"FGSM", "PGD", "filters trained, %"} <= texts(figure)


def test_protocol_curves_mark_the_values_of_a_logarithmic_axis():
    rows = pd.DataFrame(
        [
            {
                "defense": defense,
                "rate": rate,
                "protocol": protocol,
                "gradient": "exact",
                "value": 0.5,
            }
            for defense in ("AFT-FGSM", "AFT-clean")
            for rate in (0.0002, 0.001)
            for protocol in ("clean", "static", "white-box")
        ]
    )
    figure = plots.protocol_curves(rows, "defense", "rate", label="rate", log=True)
    assert labels(figure) == ["clean", "static", "white-box"]
    assert {"AFT-clean", "0.0002", "0.001", "rate", "white-box"} <= texts(figure)


def test_heatmaps_are_in_percent():
    table = pd.DataFrame([[None, 1.0], [0.25, None]], dtype=float)
    figure = plots.class_pairs({"targeted FGSM": table}, ["cat", "dog"])
    assert {"100", "25", "cat", "dog", "targeted FGSM", "reached the target, %"} <= texts(figure)
    assert "nan" not in texts(figure)
    named = pd.DataFrame([[0.5, 0.25]], index=["vgg16"], columns=["a", "base_cnn"])
    figure = plots.transfer({"before": named, "after": named}, label="pulled, %")
    assert {"50", "25", "a", "base", "before", "crafted on", "shown to", "pulled, %"} <= texts(
        figure
    )


def test_dark_is_more_in_all_heatmaps():
    scale = plt.get_cmap(look.SCALE)(np.linspace(0, 1, 50))[:, :3]
    assert (np.diff(scale @ [0.2126, 0.7152, 0.0722]) < 0).all()
    for draw in (DRAWN["transfer"], DRAWN["confusions"], DRAWN["class_pairs"]):
        assert draw().axes[0].collections[0].get_cmap().name == look.SCALE


def test_cells_are_numbered_only_where_the_numbers_fit():
    table = pd.DataFrame(np.eye(10))
    figure = plots.class_pairs({"a": table, "b": table}, list("0123456789"))
    assert not any(axis.texts for axis in figure.axes)


def test_training_curves_and_filters_can_be_drawn():
    curves = pd.DataFrame(
        {"epoch": [1, 2], "accuracy": [0.5, 0.6], "loss": [1.0, 0.9],
         "validation_accuracy": [0.5, 0.7], "validation_loss": [1.0, 0.8]}
    )  # fmt: skip
    assert {"accuracy, %", "loss (cross-entropy), nats", "validation"} <= texts(
        plots.training_curves(curves)
    )
    counts = torch.tensor([[3, 0, 1], [2, 2, 0]])
    assert "convolution 1" in texts(plots.filter_counts({"c": counts}, ["0", "1"]))
    bars = plots.histogram(counts[0], torch.tensor([0]), "picks").axes[0].patches
    assert [bar.get_height() for bar in bars] == [3, 0, 1]  # the chosen one first
    assert len({bar.get_facecolor() for bar in bars}) == 2


def test_losses_have_a_line_a_defense():
    rows = pd.DataFrame(
        [
            {"defense": defense, "steps": steps, "eps": steps / 100, "value": value}
            for defense, value in (("none", 3.0), ("7-P1", 30.0))
            for steps in (1, 10)
        ]
    )
    figure = plots.loss_curves({"steps": rows, "eps": rows})
    assert [len(axis.lines) for axis in figure.axes] == [2, 2]
    assert labels(figure) == ["none", "7-P1"]
    assert {"steps of the attack, count", "ε, pixel units", "0", "1", "3"} <= texts(figure)


def test_accuracy_against_cost_has_a_panel_for_each_attack_and_protocol_and_a_mark_a_defense():
    rows = ROWS[ROWS["model"] == "base_cnn"].assign(passes=7)
    figure = plots.accuracy_against_cost(rows, x="passes", label="passes")
    assert {"FGSM, static", "PGD, white-box", "whole", "dominant", "passes"} <= texts(figure)
    points = [line for line in figure.axes[-1].lines if line.get_label() in ("whole", "dominant")]
    assert [(*p.get_xdata(), *p.get_ydata()) for p in points] == [(7, pytest.approx(10))] * 2


def test_many_panels_of_protocols_stand_in_two_lines():
    rows = pd.concat([ROWS.assign(model=f"attack {n}") for n in range(5)])
    figure = plots.protocols(rows, "defense")
    assert {"attack 0", "attack 4"} <= texts(figure)
    rows = [axis.get_subplotspec().rowspan.start for axis in figure.axes]
    assert rows == [0, 0, 0, 1, 1]
    named = [bool(axis.get_xlabel()) for axis in figure.axes]
    assert named == [False, False, True, True, True]  # the lowest of each column


def test_guesses_have_a_bar_a_class_beside_each_image():
    told = [[("cat", 0.7), ("dog", 0.2)], [("dog", 0.9), ("cat", 0.1)], [("dog", 0.5)]]
    figure = plots.guesses(torch.rand(3, 3, 8, 8), told, ["a", "b", "c"])
    images, bars = figure.axes[0::2], figure.axes[1::2]
    assert [axis.get_title() for axis in images] == ["a", "b", "c"]
    assert [[bar.get_width() for bar in axis.patches] for axis in bars] == [
        [pytest.approx(100 * share) for _, share in classes] for classes in told
    ]
    assert [text.get_text() for text in bars[1].texts] == ["dog", "cat"]


def test_errors_have_a_line_a_network_and_unit_and_the_papers():
    rows = pd.DataFrame(
        {
            "model": ["ours"] * 4, "units": ["pixel", "pixel", "normalised", "normalised"],
            "eps": [0.01, 0.1] * 2, "metric": "top-1 error", "value": [0.2, 0.9, 0.1, 0.5],
        }
    )  # fmt: skip
    told = rows[rows["units"] == "pixel"].assign(model="theirs")
    figure = plots.errors_against_eps(rows, told)
    (axis,) = figure.axes
    assert labels(figure) == ["ours, pixel units", "ours, normalised units", "paper, theirs"]
    assert axis.lines[2].get_color() == COLOURS[PAPER]
    assert axis.lines[1].get_ydata().tolist() == [10, 50]


def test_masking_shows_accuracy_vanished_gradients_and_the_margin():
    rows = pd.DataFrame(
        {
            "temperature": [1.0, 100.0] * 3,
            "metric": ["accuracy"] * 2 + ["zero gradients"] * 2 + ["margin"] * 2,
            "protocol": ["white-box"] * 2 + ["none"] * 4,
            "gradient": ["float32"] * 2 + ["none"] * 4,
            "value": [0.1, 0.9, 0.0, 0.8, 5.0, 400.0],
        }
    )
    left, right = plots.masking(rows).axes
    assert {line.get_label(): line.get_ydata().tolist() for line in left.lines[:2]} == {
        "accuracy, float32": [10, 90], "gradients that are 0": [0, 80]
    }  # fmt: skip
    assert right.lines[0].get_ydata().tolist() == [5, 400]


@pytest.mark.parametrize(
    "draw",
    [
        lambda rows: plots.protocols(rows, "defense"),
        lambda rows: plots.protocol_curves(rows, "defense", "eps", label="eps"),
        lambda rows: plots.share_curves(rows),
        lambda rows: plots.accuracy_against_cost(rows, x="eps", label="eps"),
    ],
)
def test_a_misspelt_protocol_is_named(draw):
    with pytest.raises(ValueError, match=r"^protocol: .*did you mean 'white-box'"):
        draw(ROWS.assign(protocol="whitebox"))


# Every figure that takes rows: what it needs of them.
NEEDS = {
    "protocols": (lambda rows: plots.protocols(rows, "defense"), ["defense", "model", "value"]),
    "accuracy_against_cost": (
        lambda rows: plots.accuracy_against_cost(rows, x="eps", label="eps"),
        ["eps", "defense", "attack", "value", "gradient"],
    ),
    "gains": (lambda rows: plots.gains(rows, "defense"), ["defense", "step", "gain"]),
    "costs": (plots.costs, ["model", "step time", "parameters trained"]),
    "training_curves": (plots.training_curves, ["epoch", "accuracy", "loss"]),
    "accuracy_against_eps": (
        lambda rows: plots.accuracy_against_eps(rows, rows[:0]),
        ["attack", "model", "eps", "value"],
    ),
    "accuracy_against": (
        lambda rows: plots.accuracy_against({"eps": rows}), ["eps", "defense", "attack", "value"]
    ),
    "accuracy_by_count": (
        lambda rows: plots.accuracy_by_count(rows, rows[:0]), ["attack", "images", "n", "value"]
    ),
    "errors_against_eps": (
        lambda rows: plots.errors_against_eps(rows, rows[:0]),
        ["metric", "model", "units", "eps", "value"],
    ),
    "masking": (plots.masking, ["temperature", "metric", "value", "protocol"]),
    "share_curves": (plots.share_curves, ["share", "trained_on", "value"]),
    "protocol_curves": (
        lambda rows: plots.protocol_curves(rows, "defense", "eps", label="eps"),
        ["defense", "eps", "value", "protocol"],
    ),
    "loss_curves": (lambda rows: plots.loss_curves({"steps": rows}), ["steps", "defense", "value"]),
    "along_steps": (plots.along_steps, ["attack", "metric", "steps", "value"]),
}  # fmt: skip
EVERYTHING = ROWS.assign(
    epoch=1, accuracy=0.5, loss=1.0, images=50, n=50, units="pixel", metric="accuracy",
    temperature=1.0, steps=1, seed=0, step="static", gain=-12.5,
).assign(**{"step time": 30.0, "parameters trained": 20.0})  # fmt: skip


@pytest.mark.parametrize(
    ("name", "column"), [(name, column) for name, (_, needed) in NEEDS.items() for column in needed]
)
def test_a_column_that_is_missing_is_named(name, column):
    draw, _ = NEEDS[name]
    with pytest.raises(ValueError, match=rf"^column: must be one of .*, got '{column}'"):
        draw(EVERYTHING.rename(columns={column: column + "s"}))


@pytest.mark.parametrize("name", NEEDS)
def test_no_rows_are_no_figure(name):
    draw, _ = NEEDS[name]
    draw(EVERYTHING)
    with pytest.raises(ValueError, match="^rows: must be at least one"):
        draw(EVERYTHING[:0])


# All figures, on small made-up rows; "paper" where the paper's figures are drawn.
CURVES = EVERYTHING.assign(value=np.linspace(0, 1, len(ROWS)))
TOLD = CURVES.assign(protocol="paper", gradient="none")
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
RATES = pd.DataFrame(np.eye(3), index=["vgg16", "base_cnn", "x"], columns=["a", "b", "resnet50"])
DRAWN = {
    **{name: lambda draw=draw: draw(CURVES) for name, (draw, _) in NEEDS.items()},
    "protocols, paper": lambda: plots.protocols(pd.concat([ROWS, TOLD]), "defense"),
    "protocols, many": lambda: plots.protocols(
        pd.concat([ROWS.assign(model=f"torchvision:a_network_{n}", what=n * 'long word, ')
                   for n in range(7)]), "what"
    ),
    "accuracy_against_eps, paper": lambda: plots.accuracy_against_eps(ROWS, TOLD),
    "accuracy_by_count, paper": lambda: plots.accuracy_by_count(CURVES, TOLD),
    "errors_against_eps, paper": lambda: plots.errors_against_eps(CURVES, TOLD),
    "protocol_curves, paper": lambda: plots.protocol_curves(
        pd.concat([ROWS, TOLD]), "defense", "eps", label="eps", log=True
    ),
    "masking": lambda: plots.masking(
        pd.concat([EVERYTHING.assign(metric=of, temperature=t) for t in (1.0, 40.0)
                   for of in ("accuracy", "margin", "zero gradients")])
    ),
    "training_curves": lambda: plots.training_curves(
        pd.DataFrame({"epoch": range(1, 60), "accuracy": 0.5, "loss": 1.0, "validation_loss": 2.0})
    ),
    "confusions": lambda: plots.confusions(
        {f"AFT-FGSM: {n}": torch.eye(10, dtype=torch.int64) for n in range(7)}, CLASSES
    ),
    "class_pairs": lambda: plots.class_pairs(
        dict.fromkeys("ab", pd.DataFrame(np.eye(10))), CLASSES
    ),
    "transfer": lambda: plots.transfer({"before": RATES, "after": RATES}),
    "matrix": lambda: plots.matrix(RATES.T),
    "gains, two steps": lambda: plots.gains(
        pd.DataFrame({"paper": "dominant filters, under PGD", "step": [PAPER, "white-box, PGD"],
                      "gain": [98.0, -3.2]}), "paper"
    ),
    "filter_counts": lambda: plots.filter_counts(
        {str(n): torch.ones(10, n, dtype=torch.int64) for n in (8, 128)}, CLASSES
    ),
    "along_steps": lambda: plots.along_steps(
        pd.concat([CURVES.assign(metric=of, steps=n, attack=attack) for of in ("loss", "accuracy")
                   for attack, n in (("none", None), ("fgsm", None), ("pgd", 1), ("pgd", 20))])
    ),
    "landscape": lambda: plots.landscape(torch.rand(9, 9), torch.rand(9, 9) - 0.5, 0.1),
    "landscape, all right": lambda: plots.landscape(torch.rand(9, 9), torch.ones(9, 9), 0.1),
    "histogram": lambda: plots.histogram(torch.arange(64), torch.tensor([3, 9]), "picks"),
    "examples": lambda: plots.examples(
        {"torchvision:mobilenet_v2": torch.rand(8, 3, 8, 8)},
        {"torchvision:mobilenet_v2": ["Egyptian cat → digital clock"] * 8},
    ),
    "guesses": lambda: plots.guesses(
        torch.rand(3, 1, 8, 8), [[("Egyptian cat", 0.5), ("toaster", 0.0)]] * 3, ["a", "b", "c"]
    ),
}  # fmt: skip


def test_all_figures_are_tried():
    drawn = {name.partition(",")[0] for name in DRAWN}
    assert drawn == set(plots.__all__) - {"palette", "plt", "style"}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_fits_the_page_is_legible_and_has_units(name):
    figure = DRAWN[name]()
    figure.canvas.draw()
    assert figure.get_figwidth() <= look.WIDTH
    box = figure.get_tightbbox()
    assert box.x0 >= -0.01
    assert box.x1 <= figure.get_figwidth() + 0.01
    assert box.y0 >= -0.01
    assert box.y1 <= figure.get_figheight() + 0.01
    seen = [text for text in figure.findobj(plt.Text) if text.get_visible() and text.get_text()]
    assert min(text.get_size() for text in seen) >= look.SMALLEST
    for axis in figure.axes:
        for part in (axis.xaxis, axis.yaxis):
            if any(tick.get_visible() and tick.get_text() for tick in part.get_ticklabels()):
                shown = part.get_tick_params()
                hidden = not any(shown.get(f"label{side}") for side in ("left", "right", "bottom"))
                assert part.get_label().get_text() or hidden
    assert ("paper" in {label.partition(",")[0] for label in labels(figure)}) == ("paper" in name)
    assert len(labels(figure)) == len(set(labels(figure)))
    heatmaps = [axis for axis in figure.axes if axis.collections and not axis.lines]
    if name in ("confusions", "class_pairs", "transfer", "filter_counts", "matrix"):
        assert any("%" in axis.get_ylabel() for axis in heatmaps)  # the colour bar


def test_a_bar_of_nothing_is_seen_and_so_is_what_the_paper_reports():
    rows = ROWS.assign(value=0.0)
    figure = plots.protocols(pd.concat([rows, TOLD]), "defense")
    for word in ("static", "white-box"):
        marks = [line for line in figure.axes[0].lines if line.get_marker() == MARKERS[word]]
        assert [line.get_xdata()[0] for line in marks] == [0, 0]
    assert labels(figure) == ["paper", "static", "white-box"]
    marks = [line for line in figure.axes[0].lines if line.get_marker() == MARKERS[PAPER]]
    assert {line.get_markerfacecolor() for line in marks} == {COLOURS[PAPER]}


def test_a_defense_is_drawn_alike_in_all_figures_of_a_page():
    first = plots.palette(["undefended", "7-P1", "AFT"])
    second = plots.palette(["none", "AFT", "mixup"])
    assert second["AFT"] == first["AFT"]
    assert second["none"] == first["undefended"]
    assert second["mixup"] not in first.values()
    plots.style()  # another page
    assert plots.palette(["AFT"])["AFT"] == first["7-P1"]
    many = plots.palette(["none", *map(str, range(56))]).values()
    assert len(set(many)) == 57
    assert MARKERS[PAPER] not in {of.marker for of in many}


# What the colour-blind see of linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
VISION = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
# A difference of 2.3 in CIELAB is just seen when two large fields touch (Mahy et al. 1994). Lines
# and markers are small and apart: nine times that. Pairs nearer than twelve times also differ by 5
# in lightness, which is seen by all and survives a print in grey; and all pairs in their marker.
LEAST, NEAR, LIGHTER = 20, 28, 5


def lab(colours, vision):
    """CIELAB (D65) of sRGB colours, as seen with this vision."""
    given = np.array([to_rgb(colour) for colour in colours])
    linear = np.where(given <= 0.04045, given / 12.92, ((given + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(VISION[vision]).T, 0, 1)
    xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                    [0.0193339, 0.1191920, 0.9503041]])  # fmt: skip
    x, y, z = np.where(
        (t := (linear @ xyz.T / xyz.sum(1)).T) > 216 / 24389,
        np.cbrt(t),
        (24389 / 27 * t + 16) / 116,
    )
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def test_lightness_is_measured_right():
    assert lab(["#ffffff", "#000000", "#777777"], "none")[:, 0] == pytest.approx(
        [100, 0, 50], abs=0.1
    )
    assert lab(["#ff0000"], "none")[0] == pytest.approx([53.2, 80.1, 67.2], abs=0.1)
    red, green = lab(["#c00000", "#5c6b00"], "deuteranopia")
    assert np.linalg.norm(red - green) < LEAST  # told apart by the others only


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("colours", [tuple(COLOURS.values()), look.PALETTE])
def test_the_colour_blind_tell_colours_apart(colours, vision):
    seen = lab(colours, vision)
    for first, second in itertools.combinations(range(len(colours)), 2):
        distance = np.linalg.norm(seen[first] - seen[second])
        lightness = abs(seen[first, 0] - seen[second, 0])
        assert distance >= LEAST, (colours[first], colours[second])
        assert distance >= NEAR or lightness >= LIGHTER, (colours[first], colours[second])


def test_each_protocol_has_a_marker_of_its_own():
    assert len(set(MARKERS.values())) == len(ORDER)
    assert len(set(look.PALETTE_MARKERS)) == len(look.PALETTE_MARKERS)


def test_the_same_figure_is_the_same_svg():
    first, second = (look.svg(plots.protocols(ROWS, "defense")) for _ in range(2))
    assert first == second
    assert first.startswith("<svg ")
    assert 'width="540pt"' in first
    assert len(first) < 100_000
    assert len(look.svg(DRAWN["filter_counts"]())) < 200_000


def test_a_notebook_shows_a_drawing_as_svg_and_photos_as_png():
    lines = [
        "from advlib import plots\nplots.style()",
        "axis = plots.plt.figure().add_subplot()\nline = axis.plot([0, 1])",
        "figure = plots.plt.figure()\nimage = figure.add_subplot().imshow([[0, 1]])",
        "%matplotlib inline\nplots.plt.plot([0, 1]);",
        "figure, axis = plots.plt.subplots()\nplots.plt.close(figure)\nfigure",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(line) for line in lines])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [[set(o.data) for o in cell.outputs if "data" in o] for cell in notebook.cells]
    assert shown == [
        [],
        [{"text/plain", "image/svg+xml"}],
        [{"text/plain", "image/png"}],
        [{"text/plain", "image/svg+xml"}],
        [{"text/plain", "image/svg+xml"}],
    ]
