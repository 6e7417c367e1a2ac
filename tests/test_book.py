"""The book's checks, on a tiny repository: what may not be built, and what publishing copies."""

import base64
import io
import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from advlib import book
from advlib.batch import store
from advlib.records import OUTCOMES


@pytest.fixture
def tiny(repository):
    (job,) = book.plan()
    run = store.folder(job)
    run.mkdir(parents=True)
    executed = nbformat.read(job.notebook, as_version=4)
    executed.cells[1].outputs = [nbformat.v4.new_output("stream", text="measured")]
    nbformat.write(executed, run / store.NOTEBOOK)
    (run / "records.csv").write_text("value\n1\n")
    (run / "timings.csv").write_text("\n")
    (run / OUTCOMES).write_bytes(b"bits")
    (run / "provenance.json").write_text(json.dumps({"study": "tiny", "worker_seconds": 7.5}))
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
    (job,) = book.plan()
    (notebook,) = book.store_outputs()
    assert nbformat.read(notebook, as_version=4).cells[1].outputs[0].text == "measured"
    assert book.plan() == [job]


def test_stored_outputs_tell_how_long_the_default_parameters_take(tiny):
    (job,), (other,) = book.plan(), book.plan(overrides={"eps": 0.2})
    nowhere = Path("no runs")
    assert store.expected([job], nowhere) == {}
    book.store_outputs()
    assert store.expected([job], nowhere) == {job.key: 7.5}
    assert store.expected([other], nowhere) == {}
