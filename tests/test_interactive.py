"""Figures of lines, once more for the page's script: values, spans, panels, names."""

from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from advlib import papers, plots, saved
from advlib.batch import store
from advlib.book import heads, shown
from advlib.plots import interactive
from advlib.statistics import wilson


@pytest.fixture(autouse=True)
def closed():
    plots.style()
    yield
    plots.plt.close("all")


def rows(seeds=(0, 1)):
    return pd.DataFrame(
        [
            {
                "model": "base_cnn", "attack": "fgsm", "defense": defense, "eps": eps, "seed": seed,
                "protocol": "white-box", "gradient": "exact", "value": share - eps - 0.1 * seed,
                "n": 50,
            }
            for defense, share in (("none", 0.5), ("FGSM-AT", 0.9))
            for eps in (0.1, 0.2)
            for seed in seeds
        ]
    )  # fmt: skip


def lines(drawn):
    return [trace for trace in drawn["data"] if trace.get("fill") is None]


def test_a_line_tells_its_values_and_the_seeds_span():
    drawn = interactive.plotly(plots.accuracy_against({"eps": rows()}))
    undefended, trained = lines(drawn)
    assert undefended["x"] == [0.1, 0.2]
    assert undefended["y"] == pytest.approx([35, 25])
    np.testing.assert_allclose(undefended["customdata"], [[30, 40], [20, 30]])
    assert "seeds from %{customdata[0]:.1f}" in undefended["hovertemplate"]
    assert trained["name"] == "FGSM-AT"
    bands = [trace for trace in drawn["data"] if trace.get("fill") == "toself"]
    assert next(band["y"] for band in bands) == pytest.approx([30, 20, 30, 40])


def test_one_seed_has_the_interval_over_its_images():
    drawn = interactive.plotly(plots.accuracy_against({"eps": rows(seeds=[0])}))
    low, high = lines(drawn)[0]["customdata"][0]
    assert (low, high) == pytest.approx([100 * bound for bound in wilson(20, 50)], abs=1e-3)
    assert not [trace for trace in drawn["data"] if trace.get("fill")]


def test_figures_of_a_paper_have_no_interval():
    paper = rows(seeds=[0]).assign(n=np.nan)
    drawn = interactive.plotly(plots.accuracy_against_eps(rows(), paper))
    told = [trace for trace in lines(drawn) if trace["name"] == "paper"]
    assert told
    assert all("customdata" not in trace for trace in told)


def test_each_panel_has_its_axes_and_title_and_each_name_stands_once():
    drawn = interactive.plotly(plots.protocol_curves(rows(), "defense", "eps", label="eps"))
    layout = drawn["layout"]
    assert layout["grid"] == {"rows": 1, "columns": 2, "pattern": "independent"}
    assert [title["text"] for title in layout["annotations"]] == ["none", "FGSM-AT"]
    assert layout["xaxis2"]["title"]["text"] == "ε, pixel units"
    assert layout["yaxis1"]["range"] == [-5, 105]
    assert [trace["showlegend"] for trace in lines(drawn)] == [True, False]
    assert {trace["xaxis"] for trace in drawn["data"]} == {"x1", "x2"}


def test_a_logarithmic_axis_stays_one():
    drawn = interactive.plotly(
        plots.protocol_curves(rows(), "defense", "eps", label="eps", log=True)
    )
    axis = drawn["layout"]["xaxis1"]
    assert axis["type"] == "log"
    assert axis["tickvals"] == [0.1, 0.2]
    assert axis["range"][0] < -1 + 1e-9


def test_marks_of_cost_answer_without_a_line():
    drawn = interactive.plotly(
        plots.accuracy_against_cost(rows().assign(passes=3.0), x="passes", label="passes")
    )
    assert {trace["mode"] for trace in drawn["data"]} == {"markers"}


def test_a_figure_of_bars_is_a_picture_alone():
    assert interactive.plotly(plots.protocols(rows(), "defense")) is None
    assert interactive.bundle(plots.protocols(rows(), "defense")) == ({}, {})


def test_a_name_with_a_tag_is_a_text():
    drawn = interactive.plotly(plots.accuracy_against({"eps": rows().assign(defense="<script>x")}))
    assert lines(drawn)[0]["name"] == "&lt;script&gt;x"
    shown.check_lines(drawn)


@pytest.mark.parametrize(
    ("drawn", "says"),
    [
        ({"data": [{"name": "<img src=x>"}], "layout": {}}, "with '<img src=x>"),
        ({"data": []}, "damaged"),
        ("text", "damaged"),
    ],
)
def test_what_is_no_such_figure_is_not_published(drawn, says):
    with pytest.raises(ValueError, match=says):
        shown.check_lines(drawn)


def test_a_page_gets_what_its_script_draws_after_the_picture():
    svg, drawn = "<svg/>", {"data": [{"name": "</script>"}], "layout": {}}
    kept = {"image/svg+xml": svg, interactive.MIME: drawn}
    cell = nbformat.v4.new_code_cell()
    cell.outputs = [
        nbformat.v4.new_output("display_data", {"image/png": "AA=="}),
        nbformat.v4.new_output("display_data", kept),
    ]
    heads.answer(cell)
    assert interactive.MIME not in cell.outputs[1].data
    (html,) = (out.data["text/html"] for out in cell.outputs if "text/html" in out.data)
    assert 'class="interactive-data" data-picture="1"' in html
    assert html.count("</script>") == 1  # its own end alone


PUBLISHED = sorted(Path("book/studies").glob("*.ipynb"))
OF_NO_ROW = {"seed", "n", "value", "study", "dataset"}  # columns that a mean does not go by


def drawn_on(page):
    """The figures of a published page that answer to the pointer."""
    for cell in nbformat.read(page, as_version=4).cells:
        for output in cell.get("outputs", ()):
            if found := output.get("data", {}).get(interactive.MIME):
                yield found


def strange(drawn, folder):
    """Values of the lines that neither the run's records nor its paper have: shares, or errors, in
    percent, of a row or in the mean over its seeds, and over its networks."""
    measured, _ = saved.read(folder)
    by = [column for column in measured if column not in OF_NO_ROW]
    known = [measured.groupby(by, dropna=False)["value"].mean()]
    known += [measured.groupby([c for c in by if c != "model"], dropna=False)["value"].mean()]
    study = store.provenance(folder)["study"]
    known.append(papers.paper_rows(study)["value"].astype(float))
    told = 100 * np.concatenate(known)
    told = np.sort(np.concatenate([[-np.inf], told, 100 - told, [np.inf]]))
    values = np.concatenate([trace["y"] for trace in lines(drawn)])
    after = np.searchsorted(told, values)
    away = np.minimum(told[after] - values, values - told[after - 1])
    return values[away > 1e-3].tolist()


@pytest.mark.parametrize("page", PUBLISHED, ids=lambda page: page.stem)
def test_the_figures_of_a_published_page_tell_its_records(page):
    figures = list(drawn_on(page))
    assert figures
    assert [strange(drawn, page.with_suffix("")) for drawn in figures] == [[]] * len(figures)


def test_a_value_that_no_record_has_would_be_found():
    page = PUBLISHED[0]
    drawn = next(drawn_on(page))
    trace = lines(drawn)[0]
    trace["y"][0] += 0.123
    assert strange(drawn, page.with_suffix("")) == [trace["y"][0]]
