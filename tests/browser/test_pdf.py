"""The book as one PDF, of three of its pages."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import SITE
from pypdf import PdfReader

from advlib.book import pdf

PAGES = ["book/index", "book/protocols", "book/studies/dominant_filters"]


def printed(pages, out):
    """In a thread of its own: the other tests' browser holds this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(pdf.write, SITE, pages, out).result()


def test_each_page_is_a_chapter_of_the_outline_and_its_text_is_there(tmp_path):
    book = PdfReader(printed(PAGES, tmp_path / "book.pdf"))
    chapters = [entry.title for entry in book.outline if not isinstance(entry, list)]
    assert chapters[:2] == ["The robustness study book", "Protocols and verdicts"]
    assert chapters[2].startswith("Dominant filters")
    assert any(isinstance(entry, list) and entry for entry in book.outline)  # its headings
    text = "".join(page.extract_text() for page in book.pages)
    assert "Every claim, and what became of it" in text
    assert "What holds" in text
    assert len(book.pages) > 10


def test_a_page_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="pdf: the site lacks .*nowhere.html"):
        pdf.write(SITE, ["book/nowhere"], tmp_path / "book.pdf")
    assert not (tmp_path / "book.pdf").exists()


def test_without_a_browser_it_says_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="pdf: needs one of chromium"):
        pdf.write(SITE, PAGES, tmp_path / "book.pdf")
