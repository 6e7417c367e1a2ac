"""A drawing in half the bytes looks the same."""

import io
import re
import shutil
import subprocess

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from advlib import plots
from advlib.book.drawing import shorter
from advlib.plots import look


@pytest.fixture
def drawn():
    plots.style()
    figure, axis = plt.subplots()
    axis.plot(np.linspace(0, 1, 50) ** 0.3, marker="o", label="a line, 1.23456")
    axis.pcolormesh(np.eye(4) / 8, rasterized=True)  # a picture within the drawing
    axis.legend()
    yield look.svg(figure)
    plt.close(figure)


def test_it_is_half_as_long_and_looks_the_same(drawn):
    short = shorter(drawn)
    assert len(short) < 0.5 * len(drawn)
    rsvg = shutil.which("rsvg-convert")
    if rsvg is None:
        pytest.skip("no rsvg-convert on this machine to draw an SVG with")
    pictures = [
        np.asarray(Image.open(io.BytesIO(subprocess.run(
            [rsvg], input=text.encode(), stdout=subprocess.PIPE, check=True
        ).stdout)).convert("L")).astype(int)
        for text in (drawn, short)
    ]  # fmt: skip
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.1


def points(path):
    """Where the steps of a path end, by our reading of SVG's grammar."""
    numbers = {"m": 2, "l": 2, "q": 4, "c": 6, "h": 1, "v": 1, "z": 0}
    at, start, found, command = np.zeros(2), np.zeros(2), [], "m"
    tokens = re.findall(r"[A-Za-z]|-?(?:\d+\.?\d*|\.\d+)", path)
    while tokens:
        if tokens[0].isalpha():
            command = tokens.pop(0)
        count = numbers[command.lower()]
        given, tokens = np.array(tokens[:count], float), tokens[count:]
        from_here = at if command.islower() else np.zeros(2)
        if command in "hH":
            at = np.array([from_here[0] + given[0], at[1]])
        elif command in "vV":
            at = np.array([at[0], from_here[1] + given[0]])
        elif command in "zZ":
            at = start
        else:
            ends = given.reshape(-1, 2) + from_here
            found += list(ends[:-1])
            at = ends[-1]
        start = at if command in "mM" else start
        found.append(at)
    return np.array(found)


def test_no_error_adds_up_along_a_path():
    steps = np.random.default_rng(0).uniform(-3, 3, (2000, 2)).cumsum(0)
    told = " ".join(f"{'L' if n else 'M'} {x:.6f} {y:.6f}" for n, (x, y) in enumerate(steps))
    told += f" z M 1 1 H {steps[0, 0]:.6f} V -0.004 Q 0.5 0.25 -7.123456 2 z L 0.1 0.1"
    (short,) = re.findall(r' d="([^"]*)"', shorter(f'<svg><style></style><path d="{told}"/></svg>'))
    assert len(short) < 0.6 * len(told)
    before, after = points(told), points(short)
    assert before.shape == after.shape
    assert np.abs(before - after).max() < 0.0051  # half of a hundredth, and float's rounding


def test_a_letter_has_a_tenth_of_its_units(drawn):
    (letter, *_) = re.findall(r' d="([^"]*)" transform="scale\(\.15625\)"', shorter(drawn))
    assert "." not in letter


def test_a_look_is_told_once():
    svg = "<svg><style>*{a:b}</style>" + '<path clip-path="url(#x)" style="fill: none"/>' * 3
    short = shorter(svg + '<g style="fill: none"/><clipPath id="x"/></svg>')
    assert short.count(".c0{fill:none}") == short.count(".c1{clip-path:url(#i0)}") == 1
    assert short.count('class="c0 c1"') == 3
    assert short.count('class="c0"') == 1


def test_a_line_of_one_point_is_left_out_but_not_its_marker():
    point = '<path d="M 105.333 23.361" style="fill: none"/>'
    line = '<path d="M 1 2 L 3 4" style="fill: none"/>'
    marker = '<path id="m" d="M 1 2"/><use xlink:href="#m"/>'
    short = shorter(f"<svg><style>*{{a:b}}</style>{point}{line}{marker}</svg>")
    assert re.findall(r"<path[^>]*>", short) == [
        '<path d="m1 2l2 2" class="c0"/>', '<path id="i0" d="m1 2"/>'
    ]  # fmt: skip


def test_a_drawing_of_others_is_left_alone():
    svg = '<svg><path d="m 1.23456 2 a 1 1 0 0 1 3 4" style="fill: red"/></svg>'
    assert shorter(svg) == svg
