"""The book's checks, on a tiny repository: what may not be built, and what publishing copies."""

import base64
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from advlib import book, cli
from advlib.batch import store
from advlib.batch.plan import plan
from advlib.book import site
from advlib.saved import OUTCOMES


@pytest.fixture
def tiny(repository):
    (job,) = plan()
    run = store.folder(job)
    run.mkdir(parents=True)
    executed = nbformat.read(job.notebook, as_version=4)
    executed.cells[1].outputs = [nbformat.v4.new_output("stream", text="measured")]
    nbformat.write(executed, run / store.NOTEBOOK)
    (run / "records.csv").write_text("value\n1\n")
    (run / "timings.csv").write_text("\n")
    (run / OUTCOMES).write_bytes(b"bits")
    noted = {"study": "tiny", "worker_seconds": 7.5, "parameters": {"seeds": [0]}, "seconds": 7.0}
    noted |= {"started": "2026-11-24T12:00:00", "data": {}, "commit": None, "threads": 1}
    noted |= {"versions": {"torch": "2"}, "device": "a CPU", "key": job.key}
    (run / "provenance.json").write_text(json.dumps(noted))
    return run


def break_(notebook: Path):
    executed = nbformat.read(notebook, as_version=4)
    error = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    executed.cells[1].outputs = [error]
    nbformat.write(executed, notebook)


def test_a_study_without_a_run_is_not_built(repository):
    with pytest.raises(ValueError, match="no complete run of the present code"):
        book.build()


def test_a_run_with_an_error_is_not_built(tiny):
    break_(tiny / store.NOTEBOOK)
    with pytest.raises(ValueError, match="no complete run"):
        book.build()


def test_a_run_of_other_code_is_not_built(tiny, monkeypatch):
    monkeypatch.setattr("advlib.batch.plan.source_digest", lambda module="": "other code")
    with pytest.raises(ValueError, match="no complete run"):
        book.build()


def test_a_published_page_with_an_error_is_not_built(tiny):
    page = book.publish(tiny)
    break_(page)
    with pytest.raises(ValueError, match="holds an error: ValueError: no"):
        book.build()


def test_a_published_page_without_its_records_is_not_built(tiny):
    page = book.publish(tiny)
    (page.parent / "tiny/records.csv").unlink()
    with pytest.raises(ValueError, match="lacks its .*records.csv"):
        book.build()


def test_publishing_copies_the_notebook_and_its_records(tiny):
    page = book.publish(tiny)
    assert page == Path("book/studies/tiny.ipynb")
    assert nbformat.read(page, 4) == nbformat.read(tiny / store.NOTEBOOK, 4)
    for name in (*store.RESULTS, OUTCOMES):
        assert (page.parent / "tiny" / name).read_bytes() == (tiny / name).read_bytes()


def test_photos_are_published_as_jpeg_and_charts_as_they_are(tiny):
    def png(pixels):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return base64.b64encode(file.getvalue()).decode()

    grain = np.random.default_rng(0).integers(-16, 16, (300, 300, 3))
    shades = (np.linspace(16, 239, 300)[:, None, None] + grain).astype(np.uint8)
    photo, chart = png(shades), png(np.full((300, 300, 3), 255, np.uint8))
    executed = nbformat.read(tiny / store.NOTEBOOK, 4)
    executed.cells[1].outputs = [
        nbformat.v4.new_output("display_data", {"image/png": p}) for p in (photo, chart)
    ]
    nbformat.write(executed, tiny / store.NOTEBOOK)
    first, second = (o.data for o in nbformat.read(book.publish(tiny), 4).cells[1].outputs)
    assert dict(second) == {"image/png": chart}
    assert list(first) == ["image/jpeg"]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(first["image/jpeg"]))), float)
    assert abs(shown - shades).mean() < 10
    assert len(first["image/jpeg"]) < len(photo) / 2


def shows(run, **data):
    """Let the run's notebook show this."""
    executed = nbformat.read(run / store.NOTEBOOK, 4)
    executed.cells[1].outputs = [nbformat.v4.new_output("display_data", data["data"])]
    nbformat.write(executed, run / store.NOTEBOOK)


def everything(folder=Path()):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"application/javascript": "alert(1)"}, "cell 2 shows application/javascript"),
        ({"image/svg+xml": "<svg/>"}, "cell 2 shows an image/svg+xml with <svg>"),
        ({"image/png": "not a picture"}, "cell 2 has a damaged image/png"),
        (
            {"image/png": base64.b64encode(b"\x89PNG\r\n\x1a\n...").decode()},
            "has a damaged image/png",
        ),
    ],
)
def test_what_may_not_be_published_is_named_and_nothing_is_written(tiny, data, says):
    shows(tiny, data=data)
    before = everything()
    with pytest.raises(ValueError, match="^run: ") as refused:
        book.publish(tiny)
    assert says in str(refused.value)
    assert everything() == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: (run / "headline.png").write_bytes(b"half a pic"),
        lambda run: (run / "headline.md").symlink_to("/etc/hostname"),
        lambda run: (run / "headline.md").symlink_to("records.csv"),
        lambda run: (run / "headline.md").write_bytes(b"\xff\xfe"),
        lambda run: [
            (run / store.NOTEBOOK).rename("moved"),
            (run / store.NOTEBOOK).symlink_to("moved"),
        ],
    ],
)
def test_a_damaged_or_linked_file_is_not_published(tiny, damage):
    damage(tiny)
    before = everything()
    with pytest.raises(ValueError, match="^run: "):
        book.publish(tiny)
    assert everything() == before


def test_no_code_reaches_a_published_page(tiny):
    bad = "<script>alert(1)</script><img src=x onerror=alert(1)><b onclick=alert(1)>fine</b>"
    row = '<tr><td colspan="2">1 < 2</td></tr>'
    table = f'<table class="dataframe" style="font-size: 80%">{row}</table>'
    shows(tiny, data={"text/html": bad + table, "text/markdown": f"**Data**: {bad}, 1 < 2 & 3"})
    (tiny / "headline.md").write_text(f"| {bad} |\n")
    page = book.publish(tiny)
    shown = nbformat.read(page, 4).cells[1].outputs[0].data
    assert shown["text/html"] == (
        '<b>fine</b><table class="dataframe" style="font-size:80%"><tbody><tr>'
        '<td colspan="2">1 &lt; 2</td></tr></tbody></table>'
    )
    assert "<" not in shown["text/markdown"].replace("1 < 2", "")
    text = (page.parent / "tiny/headline.md").read_text()
    assert "<script" not in text
    assert "&lt;script>" in text


def test_what_an_earlier_run_had_goes(tiny):
    (tiny / "headline.md").write_text("| a |\n")
    page = book.publish(tiny)
    assert (page.parent / "tiny/headline.md").is_file()
    (tiny / "network-a.safetensors").write_bytes(b"1")
    book.publish(tiny)
    assert (page.parent / "tiny/network-a.safetensors").read_bytes() == b"1"
    for name in ("headline.md", "network-a.safetensors"):
        (tiny / name).unlink()
    book.publish(tiny)
    for name in ("headline.md", "network-a.safetensors"):
        assert not (page.parent / "tiny" / name).exists()


@pytest.fixture
def built(tiny, monkeypatch):
    """A repository whose site is rendered by something quicker than jupyter-book."""
    Path("_config.yml").touch()
    Path("_toc.yml").write_text(
        "root: book/index\nparts:\n- chapters:\n  - file: notebooks/tiny\n", encoding="utf-8"
    )
    Path("book").mkdir()
    Path("book/index.md").write_text("# One", encoding="utf-8")
    Path("book/glossary.md").write_text("```{glossary}\neps\n  A radius.\n```", encoding="utf-8")

    def render(stage, fresh):
        html = fresh / site.HTML
        for page in ("book/index", "notebooks/tiny"):
            (html / page).parent.mkdir(parents=True)
            (html / f"{page}.html").write_text(
                '<img src="../a.png"><a href="../notebooks/tiny.html#x">'
            )
        (html / "notebooks/tiny.html").write_text('<p id="x"></p><a href="https://x.org/">')
        (html / "a.png").touch()
        (html / "_static").mkdir()
        for script in ("packed", "excerpts"):
            (html / f"_static/{script}.js").touch()
        (html / "search.html").write_text("<head></head>")
        (html / "searchindex.js").write_text(
            'Search.setIndex({"docnames":["book/index","notebooks/tiny"]})'
        )
        (html / "index.html").write_text((stage / "book/index.md").read_text())

    monkeypatch.setattr(site, "_render", render)
    return render


def test_a_new_site_takes_the_place_of_the_old(built):
    index = book.build()
    assert index == (site.SITE / "_build/html/index.html").resolve()
    assert index.read_text() == "# One"
    Path("book/index.md").write_text("# Two", encoding="utf-8")
    assert book.build().read_text() == "# Two"
    assert sorted(path.name for path in site.BUILD.iterdir()) == [".lock", "site"]


@pytest.mark.parametrize(
    ("lacks", "says"),
    [
        (lambda html: (html / "a.png").unlink(), "../a.png (linked to by book/index.html)"),
        (lambda html: (html / "notebooks/tiny.html").unlink(), "notebooks/tiny.html"),
        (lambda html: (html / "notebooks/tiny.html").write_text(""), "tiny.html#x (linked to by"),
        (lambda html: (html / "searchindex.js").unlink(), "book/index in the search"),
        (lambda html: (html / "searchindex.js").write_text("{}"), "notebooks/tiny in the search"),
    ],
)
def test_a_site_that_is_not_whole_is_refused_and_the_old_one_kept(built, monkeypatch, lacks, says):
    book.build()
    Path("book/index.md").write_text("# Two", encoding="utf-8")

    def render(stage, fresh):
        built(stage, fresh)
        lacks(fresh / site.HTML)

    monkeypatch.setattr(site, "_render", render)
    with pytest.raises(ValueError, match="^book: the site lacks ") as refused:
        book.build()
    assert says in str(refused.value)
    assert (site.SITE / "_build/html/index.html").read_text() == "# One"
    assert sorted(path.name for path in site.BUILD.iterdir()) == [".lock", "site"]


def test_an_interrupted_build_keeps_the_old_site(built, monkeypatch, capfd):
    book.build()

    def interrupted(stage, fresh):
        built(stage, fresh)
        raise KeyboardInterrupt

    monkeypatch.setattr(site, "_render", interrupted)
    assert cli.main(["book"]) == 130
    assert "Traceback" not in capfd.readouterr().err
    assert (site.SITE / "_build/html/index.html").is_file()
    left = site.BUILD / ".site-0123"  # as a build leaves that is killed
    left.mkdir()
    monkeypatch.setattr(site, "_render", built)
    book.build()
    assert not left.exists()


def test_builds_wait_for_one_another(built, monkeypatch):
    at_once, most = [], []

    def render(stage, fresh):
        at_once.append(fresh)
        most.append(len(at_once))
        time.sleep(0.3)
        built(stage, fresh)
        at_once.remove(fresh)

    monkeypatch.setattr(site, "_render", render)
    with ThreadPoolExecutor() as pool:
        done = [pool.submit(book.build) for _ in range(3)]
        assert len({one.result() for one in done}) == 1
    assert most == [1, 1, 1]


def test_a_study_may_have_several_published_pages(tiny):
    book.publish(tiny)
    page = book.publish(tiny, "tiny_on_photos")
    assert page == Path("book/studies/tiny_on_photos.ipynb")
    assert (page.parent / "tiny_on_photos/records.csv").is_file()
    assert (page.parent / "tiny.ipynb").is_file()
    with pytest.raises(ValueError, match="^page: "):
        book.publish(tiny, "../elsewhere")


def test_only_a_complete_run_is_published(tmp_path):
    with pytest.raises(ValueError, match="^run: "):
        book.publish(tmp_path)


def test_outputs_are_stored_without_changing_the_key(tiny):
    (job,) = plan()
    (notebook,) = book.store_outputs()
    assert nbformat.read(notebook, as_version=4).cells[1].outputs[0].text == "measured"
    assert plan() == [job]


def test_one_study_is_stored_without_the_others(tiny):
    Path("notebooks/other.ipynb").write_bytes(Path("notebooks/tiny.ipynb").read_bytes())
    with pytest.raises(ValueError, match="^book: other has no complete run"):
        book.store_outputs()
    assert book.store_outputs(["tiny"]) == [Path("notebooks/tiny.ipynb")]
    with pytest.raises(ValueError, match="nosuch"):
        book.store_outputs(["nosuch"])


def test_stored_outputs_tell_how_long_the_default_parameters_take(tiny):
    (job,), (other,) = plan(), plan(overrides={"eps": 0.2})
    nowhere = Path("no runs")
    assert store.expected([job], nowhere) == {}
    book.store_outputs()
    assert store.expected([job], nowhere) == {job.key: 7.5}
    assert store.expected([other], nowhere) == {}
