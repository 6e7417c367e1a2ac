import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch

from advlib import plots

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


def test_protocols_show_every_bar_and_name_both_protocols():
    figure = plots.protocols(ROWS, "defense")
    assert {"static", "white-box", "shallow", "base", "whole", "dominant"} <= texts(figure)
    assert len(figure.axes) == 2
    widths = [bar.get_width() for bar in figure.axes[0].patches if bar.get_width()]
    assert sorted(widths) == pytest.approx([10, 10, 90, 90])


def test_accuracy_against_eps_shows_the_papers_figures_too():
    figure = plots.accuracy_against_eps(ROWS, ROWS.assign(value=0.5))
    assert {"FGSM", "PGD", "eps (pixel units)", "paper (MNIST)"} <= texts(figure)
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata())]
    assert [line.get_ydata()[0] for line in lines] == pytest.approx([50, 50, 50, 50])


def test_accuracy_against_has_a_panel_a_setting_and_a_line_a_defense():
    figure = plots.accuracy_against({"eps": ROWS[ROWS["attack"] == "fgsm"], "share": ROWS})
    assert {"FGSM", "FGSM, PGD", "eps", "share", "whole", "dominant"} <= texts(figure)
    drawn = [line.get_ydata() for line in figure.axes[0].lines if len(line.get_ydata()) > 1]
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
    bars = [line.get_ydata() for line in figure.axes[0].lines if len(line.get_ydata()) == 2]
    heights = [high - low for low, high in bars]
    assert len(bars) == 4
    assert min(heights[:2]) > 4 * max(heights[2:])  # 50 images decide little


def test_confusions_are_in_percent_of_the_true_class():
    tables = {f"network {n}": torch.tensor([[3, 1], [0, 8]]) for n in range(4)}
    figure = plots.confusions(tables, ["cat", "dog"])
    assert {"75", "25", "100", "network 3", "cat"} <= texts(figure)
    assert "0" not in texts(figure)
    assert [axis.axison for axis in figure.axes] == 4 * [True] + 2 * [False]


def test_share_curves_have_a_line_a_protocol():
    figure = plots.share_curves(ROWS)
    assert [len(axis.lines) for axis in figure.axes] == [2, 2]


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
    assert [len(axis.lines) for axis in figure.axes] == [3, 3]
    assert {"AFT-clean", "0.0002", "0.001", "rate", "white-box"} <= texts(figure)


def test_heatmaps_are_in_percent():
    table = pd.DataFrame([[None, 1.0], [0.25, None]], dtype=float)
    figure = plots.class_pairs({"targeted FGSM": table}, ["cat", "dog"])
    assert {"100", "25", "cat", "dog", "targeted FGSM"} <= texts(figure)
    named = pd.DataFrame([[0.5, 0.25]], index=["vgg16"], columns=["resnet18", "resnet50"])
    figure = plots.transfer({"before": named, "after": named})
    assert {"50", "25", "vgg16", "resnet50", "before", "made against"} <= texts(figure)


def test_training_curves_and_filters_can_be_drawn():
    curves = pd.DataFrame(
        {"epoch": [1, 2], "accuracy": [0.5, 0.6], "loss": [1.0, 0.9],
         "validation_accuracy": [0.5, 0.7], "validation_loss": [1.0, 0.8]}
    )  # fmt: skip
    assert {"accuracy", "loss", "validation"} <= texts(plots.training_curves(curves))
    counts = torch.tensor([[3, 0, 1], [2, 2, 0]])
    assert "convolution 1" in texts(plots.filter_counts({"c": counts}, ["0", "1"]))
    bars = plots.histogram(counts[0], torch.tensor([0]), "picks").axes[0].patches
    assert [bar.get_height() for bar in bars] == [3, 0, 1]
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
    assert {"steps", "eps", "7-P1"} <= texts(figure)


def test_accuracy_against_cost_has_a_panel_for_each_attack_and_protocol_and_a_mark_a_defense():
    rows = ROWS[ROWS["model"] == "base_cnn"].assign(passes=7)
    figure = plots.accuracy_against_cost(rows, x="passes", label="passes")
    assert {"FGSM, static", "PGD, white-box", "whole", "dominant", "passes"} <= texts(figure)
    points = figure.axes[-1].collections[0].get_offsets()
    assert points.tolist() == [[7, pytest.approx(10)], [7, pytest.approx(10)]]


def test_many_panels_of_protocols_stand_in_two_lines():
    rows = pd.concat([ROWS.assign(model=f"attack {n}") for n in range(5)])
    figure = plots.protocols(rows, "defense")
    assert {"attack 0", "attack 4"} <= texts(figure)
    assert [axis.axison for axis in figure.axes] == 5 * [True] + [False]


def test_guesses_have_a_bar_a_class_beside_each_image():
    told = [[("cat", 0.7), ("dog", 0.2)], [("dog", 0.9), ("cat", 0.1)], [("dog", 0.5)]]
    figure = plots.guesses(torch.rand(3, 3, 8, 8), told, ["a", "b", "c"])
    images, bars = figure.axes[0::2], figure.axes[1::2]
    assert [axis.get_title() for axis in images] == ["a", "b", "c", ""]
    assert [[bar.get_width() for bar in axis.patches] for axis in bars] == [
        [pytest.approx(100 * share) for _, share in classes] for classes in (*told, [])
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
    (axis,) = plots.errors_against_eps(rows, told).axes
    assert [line.get_label() for line in axis.lines] == [
        "ours, pixel units", "ours, normalised units", "theirs, paper"
    ]  # fmt: skip
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
    assert {line.get_label(): line.get_ydata().tolist() for line in left.lines} == {
        "float32": [10, 90], "gradients that are 0": [0, 80]
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
DRAWN = {
    "protocols": (lambda rows: plots.protocols(rows, "defense"), ["defense", "model", "value"]),
    "accuracy_against_cost": (
        lambda rows: plots.accuracy_against_cost(rows, x="eps", label="eps"),
        ["eps", "defense", "attack", "value", "gradient"],
    ),
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
}  # fmt: skip
EVERYTHING = ROWS.assign(
    epoch=1, accuracy=0.5, loss=1.0, images=50, n=50, units="pixel", metric="accuracy",
    temperature=1.0, steps=1, seed=0,
).assign(**{"step time": 30.0, "parameters trained": 20.0})  # fmt: skip


@pytest.mark.parametrize(
    ("name", "column"), [(name, column) for name, (_, needed) in DRAWN.items() for column in needed]
)
def test_a_column_that_is_missing_is_named(name, column):
    draw, _ = DRAWN[name]
    with pytest.raises(ValueError, match=rf"^column: must be one of .*, got '{column}'"):
        draw(EVERYTHING.rename(columns={column: column + "s"}))


@pytest.mark.parametrize("name", DRAWN)
def test_no_rows_are_no_figure(name):
    draw, _ = DRAWN[name]
    draw(EVERYTHING)
    with pytest.raises(ValueError, match="^rows: must be at least one"):
        draw(EVERYTHING[:0])
