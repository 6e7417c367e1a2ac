"""Drawings on a published page: what figures are made of is let through, and nothing that acts."""

import base64
import io

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from PIL import Image

from advlib import plots
from advlib.book import shown
from advlib.plots import look

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def svg(inside="", attributes=""):
    return f"{HEAD} {attributes}>{inside}</svg>"


def png():
    file = io.BytesIO()
    Image.new("L", (2, 2)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def notebook(text):
    cell = nbformat.v4.new_code_cell()
    cell.outputs = [nbformat.v4.new_output("display_data", {"image/svg+xml": text})]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(), cell])


@pytest.mark.parametrize(
    "text",
    [
        svg('<g id="a"/><use href="#a"/><use xlink:href="#a"/><text>a &lt; b, on, url(x)</text>'),
        svg(f'<image xlink:href="data:image/png;base64,{png()}"/>'),
        svg('<style type="text/css">*{stroke-linejoin: round}</style>'),
        svg("<path clip-path=\"url(#a)\" style=\"fill: url('#b')\" transform='scale(2)'/>"),
        '<?xml version="1.0" encoding="utf-8"?>' + svg("<!-- ε -->"),
    ],
)
def test_shapes_and_texts_are_published_as_they_are(text):
    page = notebook(text)
    shown.made_safe(page)
    assert page.cells[1].outputs[0].data == {"image/svg+xml": text}


def test_the_books_own_figures_are_published():
    plots.style()
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([0, 1], label="a & b <c>")
    left.legend()
    figure.colorbar(right.pcolormesh(np.eye(30), rasterized=True))
    drawn = look.svg(figure)
    plt.close(figure)
    assert "data:image/png;base64," in drawn
    shown.check_svg(drawn)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<svg", "has a damaged image/svg"),
        ("", "has a damaged image/svg"),
        (svg() + svg(), "has a damaged image/svg"),
        (svg("\ud800"), "has a damaged image/svg"),
        (svg("&known;"), "has a damaged image/svg"),
        ("<svg/>", "with <svg>"),  # of no name space
        ('<html xmlns="http://www.w3.org/1999/xhtml"/>', "with <html>"),
        (f"<g>{svg()}</g>", "with <g>"),
        ('<g xmlns="http://www.w3.org/2000/svg"/>', "with <g>"),
        (svg("<script>alert(1)</script>"), "with <script>"),
        (svg("<foreignObject/>"), "with <foreignObject>"),
        (svg('<s:script xmlns:s="http://www.w3.org/2000/svg"/>'), "with <script>"),
        (svg('<p xmlns="http://www.w3.org/1999/xhtml"/>'), "with <p>"),
        (svg('<text xmlns="http://www.w3.org/1999/xhtml"/>'), "with <text>"),
        (svg('<a href="#a"><set attributeName="href" to="javascript:x"/></a>'), "with <a>"),
        (svg('<use><animate attributeName="href"/></use>'), "with <animate>"),
        (svg(attributes='onload="alert(1)"'), "the attribute onload"),
        (svg('<g onClick="alert(1)"/>'), "the attribute onclick"),
        (svg(attributes='xml:base="https://e.org"'), "the attribute base"),
        (svg('<image src="x.png"/>'), "the attribute src"),
        (svg('<use href="https://e.org/a.svg#a"/>'), "a link to https://e.org"),
        (svg('<use xlink:href="javascript:alert(1)"/>'), "a link to javascript"),
        (svg('<use href=" #a"/>'), "a link to  #a"),
        (svg('<image href="x.png"/>'), "a link to x.png"),
        (svg('<image href="data:image/svg+xml;base64,PHN2Zy8+"/>'), "a link to data:image/svg"),
        (svg('<image href="data:image/png;base64,PHN2Zy8+"/>'), "has a damaged image/png"),
        (svg(f'<use href="data:image/png;base64,{png()}"/>'), "a link to data:image/png"),
        (svg('<path fill="url(https://e.org/a)"/>'), "with fill="),
        (svg("<path style=\"fill: URL( '//e.org/a')\"/>"), "with style="),
        (svg('<path style="fill: u\\72l(a)"/>'), "with style="),
        (svg("<style>@import '//e.org/a.css';</style>"), "a style that loads"),
        (svg("<style>*{fill: ur<!-- -->l(//e.org/a)}</style>"), "a style that loads"),
        (svg("<style><![CDATA[*{fill: url(//e.org/a)}]]></style>"), "a style that loads"),
        (svg('<style>*{fill: image-set("//e.org/a" 1x)}</style>'), "a style that loads"),
        ("<!DOCTYPE svg>" + svg(), "with a DOCTYPE"),
        ('<!DOCTYPE svg [<!ENTITY a "aaaa">]>' + svg("&a;"), "with a DOCTYPE"),
        ('<?xml-stylesheet href="//e.org/a.css"?>' + svg(), "with <?xml-stylesheet?>"),
    ],
)
def test_a_drawing_that_acts_or_loads_is_refused(text, says):
    with pytest.raises(ValueError, match="^cell 2 ") as refused:
        shown.made_safe(notebook(text))
    assert says in str(refused.value)
