"""A lighter site looks the same."""

import re
import shutil
from pathlib import Path

import numpy as np
import pydata_sphinx_theme
import pytest
from fontTools.ttLib import TTFont
from PIL import Image

from advlib.book.slim import slim


@pytest.fixture
def site(tmp_path):
    for folder in ("_images", "_static/locales/de", "_static/vendor/fontawesome/6.5.2/js"):
        (tmp_path / folder).mkdir(parents=True)
    for needless in ("a.css.map", "a.ttf", "locales/de/a.js", "vendor/fontawesome/6.5.2/js/all.js"):
        (tmp_path / "_static" / needless).write_text("x")
    (tmp_path / "_static/a.css").write_text("x")
    return tmp_path


def test_what_no_reader_needs_is_gone(site):
    slim(site)
    left = {p.relative_to(site).as_posix() for p in site.rglob("*") if p.is_file()}
    assert left == {"_static/a.css"}


def test_of_the_icons_those_stay_that_a_page_draws(site):
    theme = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static"
    (origin,) = (theme / "vendor/fontawesome").iterdir()
    icons = site / "_static/vendor/fontawesome" / origin.name
    shutil.copytree(origin, icons, dirs_exist_ok=True)
    (site / "a.html").write_text('<i class="fa-solid fa-bars"></i>')
    (site / "_static/a.css").write_text(
        'a::before { content: "\\f08e"; } b::before { content: "\uf019"; }'  # as a code, a letter
    )
    slim(site)
    sheet = (icons / "css/all.min.css").read_text()
    assert '.fa-bars:before,.fa-navicon:before{content:"\\f0c9"}' in sheet
    assert "fa-rocket:before" not in sheet
    assert ".fa-solid" in sheet
    fonts = {file.name: TTFont(file).getBestCmap() for file in icons.glob("webfonts/*")}
    assert fonts.keys() >= {"fa-solid-900.woff", "fa-brands-400.woff"}
    assert {0xF0C9, 0xF08E, 0xF019} <= fonts["fa-solid-900.woff"].keys()
    assert 0xF135 not in fonts["fa-solid-900.woff"]
    for named in re.findall(r"url\(\.\./(webfonts/[^)]+)\)", sheet):
        assert (icons / named).is_file()


def test_a_page_loses_spaces_and_needless_marks_and_scripts_but_no_text(site):
    page = site / "a.html"
    page.write_text(
        '<script src="_static/vendor/fontawesome/6.5.2/js/all.js?digest=1"></script>'
        '<link rel="preload" href="_static/vendor/fontawesome/6.5.2/webfonts/a.woff2"/>\n'
        "    <p>One\n      two</p>\n  <pre>\n    indented</pre>\n"
        '  <pre><span></span><span class="n">a</span> <span class="o">=</span> '
        '<span class="k">if</span></pre>\n'
        "  <script>let a = `\n   b`</script>\n   <script>const THEBE_JS_URL = 1</script>"
        '<img src="../_images/a.png"/><a href="_images/a.png">_images/b.svg</a>'
    )
    slim(site)
    assert page.read_text() == (
        "\n<p>One\ntwo</p>\n<pre>\n    indented</pre>\n"
        '<pre>a = <span class="k">if</span></pre>\n<script>let a = `\n   b`</script>'
        '<img src="../_images/a.webp"/><a href="_images/a.webp">_images/b.svg</a>'
    )


def test_a_picture_keeps_each_pixel(site):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(site / "_images/a.png")
    slim(site)
    assert not (site / "_images/a.png").exists()
    with Image.open(site / "_images/a.webp") as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), pixels)


def test_a_photo_takes_fewer_bytes(site):
    level = np.add.outer(np.arange(200), np.arange(300)) / 2
    Image.fromarray(np.stack([level] * 3, -1).astype(np.uint8)).save(site / "_images/a.jpg")
    before = (site / "_images/a.jpg").stat().st_size
    (site / "a.html").write_text('<img src="_images/a.jpg"/>')
    slim(site)
    assert (site / "a.html").read_text() == '<img src="_images/a.webp"/>'
    assert not (site / "_images/a.jpg").exists()
    with Image.open(site / "_images/a.webp") as image:
        assert np.abs(np.asarray(image.convert("L"), float) - level).mean() < 4
    assert (site / "_images/a.webp").stat().st_size < before


def test_a_cell_does_not_say_where_it_is(site):
    page = site / "a.html"
    page.write_text(
        '<table id="T_ab"><th id="T_ab_level0_row1" class="row_heading level0 row1">a</th>'
        '<td id="T_ab_row1_col2" class="data row1 col2 number">row1 col2 </td></table>'
    )
    slim(site)
    assert page.read_text() == (
        '<table id="T_ab"><th class="row_heading">a</th>'
        '<td class="data number">row1 col2 </td></table>'
    )
