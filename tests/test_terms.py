"""Words of the glossary lead there, once a page, and nothing else in a text is touched."""

from pathlib import Path

import pytest

from advlib.book import terms


@pytest.fixture(autouse=True)
def glossary(tmp_path, monkeypatch):
    path = tmp_path / "glossary.md"
    path.write_text(
        "# Glossary\n\n```{glossary}\nclean\n  A protocol: no attack.\n\n"
        "epsilon\neps\n  A radius.\n\n"
        "adversarial image\n  Changed.\n\nSquare\n  An attack.\n```\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(terms, "GLOSSARY", path)


def test_entries_are_words_or_written_as_code():
    plain, code = terms.terms()
    assert plain == {"epsilon", "eps", "adversarial image", "Square"}
    assert code == {"clean"}


def test_the_first_use_on_a_page_leads_there_in_any_form():
    first, second = terms.linked(
        ["Adversarial images move by eps.", "An adversarial image, `clean`."]
    )
    assert first == ("{term}`Adversarial images <adversarial image>` move by {term}`eps <eps>`.")
    assert second == "An adversarial image, {term}`clean <clean>`."


@pytest.mark.parametrize(
    "text",
    [
        "A square, a clean image, steps.",
        "# The eps\n",
        "| eps | Square |",
        "`eps` and $eps$ and $$eps$$",
        "```python\neps = 1\n```",
        "```{figure} eps.svg\n:alt: eps\nThe eps.\n```",
        "[the eps](eps.md)",
        "{cite}`Square`",
        ":::{grid-item-card} eps\n:link: eps\nThe eps.\n:::",
        "*eps* **Square**",
        '<a href="eps">',
    ],
)
def test_what_is_no_prose_stays_as_it_is(text):
    assert terms.linked([text]) == [text]


def test_prose_after_code_is_prose_again():
    (text,) = terms.linked(["```\neps\n```\nThe eps."])
    assert text == "```\neps\n```\nThe {term}`eps <eps>`."


def test_the_books_own_glossary_has_words_of_both_kinds(monkeypatch):
    monkeypatch.setattr(terms, "GLOSSARY", Path(__file__).parents[1] / "book/glossary.md")
    plain, code = terms.terms()
    assert {"FGSM", "worst case", "eps"} <= plain
    assert {"static", "white-box", "float32"} <= code
