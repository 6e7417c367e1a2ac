"""The notebooks are lectures: short cells, prose around them, every figure introduced and read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest

from advlib import contradictions

NOTEBOOKS = sorted(Path("notebooks").glob("*.ipynb"))
MOST_LINES = 10  # of code in a cell
WORDS_A_LINE = 4  # of prose for each line of code, at least
MOST_LETTERS = 80  # in an f-string; longer sentences belong in findings.md
SHOWN = {"image/png", "image/svg+xml", "text/html"}  # figures and tables
NO_PROSE = r"\$\$.*?\$\$|\$[^$]*\$|```.*?```|`[^`]*`|\{\w+\}"
CAME_OUT = re.compile(
    r"\b(alike|falls?|rises?|levels? off|high|low|near(ly)? zero|far above|paler|seems?|keeps?|"
    r"shrinks?)\b"
)
EQUATION = re.compile(r"\$[^$]+\$", re.DOTALL)


def pytest_generate_tests(metafunc):
    if "notebook" in metafunc.fixturenames:
        books = [nbformat.read(path, as_version=4) for path in NOTEBOOKS]
        metafunc.parametrize("notebook", books, ids=[path.stem for path in NOTEBOOKS])


def tags(cell) -> set[str]:
    return set(cell.metadata.get("tags", ()))


def code(notebook) -> list:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell for cell in cells if "parameters" not in tags(cell)]


def lines(cell) -> list[str]:
    return [
        line for line in cell.source.splitlines() if line.strip() and not line.startswith("# NBVAL")
    ]


def prose(source: str) -> str:
    """The words of a Markdown cell, without equations, code and citations."""
    source = re.sub(NO_PROSE, " ", source, flags=re.DOTALL)
    return re.sub(r"[#*:>|\-]", " ", source)


def test_no_cell_is_longer_than_a_glance(notebook):
    long = {cell.source: len(lines(cell)) for cell in code(notebook)}
    long = {source: count for source, count in long.items() if count > MOST_LINES}
    assert not long, "\n\n".join(f"{count} lines:\n{source}" for source, count in long.items())


def test_there_is_more_to_read_than_to_run(notebook):
    words = sum(
        len(prose(cell.source).split()) for cell in notebook.cells if cell.cell_type == "markdown"
    )
    count = sum(len(lines(cell)) for cell in code(notebook))
    assert words / count >= WORDS_A_LINE, f"{words} words for {count} lines"


def test_every_figure_and_table_is_read(notebook):
    """A sentence follows before the next heading, figure or table."""
    unread = None
    for cell in notebook.cells:
        if "remove-cell" in tags(cell):
            continue
        if cell.cell_type == "markdown":
            first = cell.source.lstrip()
            if unread is not None:
                assert first[:1] not in ("", "#"), f"not read: {unread}"
            unread = None
        elif any(SHOWN & set(output.get("data", ())) for output in cell.get("outputs", ())):
            assert unread is None, f"not read: {unread}"
            unread = cell.source
    assert unread is None, f"not read: {unread}"


def test_every_figure_is_told_to_who_cannot_see_it(notebook):
    drawn = [c for c in code(notebook) if re.search(r"^figure = plots\.", c.source, re.MULTILINE)]
    untold = [
        c.source for c in drawn if not c.metadata.get("mystnb", {}).get("image", {}).get("alt")
    ]
    assert not untold, "no alt text: " + "\n\n".join(untold)


@pytest.mark.parametrize("study", [*contradictions.STUDIES, "synthesis"])
def test_an_alternative_text_tells_what_is_drawn_not_how_it_came_out(study):
    """It stands on every page that is made from the notebook, whatever its run measured."""
    notebook = nbformat.read(f"notebooks/{study}.ipynb", as_version=4)
    told = [
        cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "") for cell in notebook.cells
    ]
    assert any(told)
    assert not [alt for alt in told if CAME_OUT.search(alt)]


def test_how_it_came_out_is_told_from_what_is_drawn():
    for said in ("it falls and levels off", "static bars are high", "the second seems robust"):
        assert CAME_OUT.search(said)
    assert not CAME_OUT.search("Accuracy against eps, static and white-box, a panel a network.")


def test_it_has_equations(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert len(EQUATION.findall(text)) >= 3


def test_no_sentence_hides_in_code(notebook):
    for cell in code(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.JoinedStr):
                assert len(ast.unparse(node)) <= MOST_LETTERS, ast.unparse(node)


def test_it_asks_three_questions(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    exercises = text.partition("## Exercises")[2]
    assert len(re.findall(r"^\d\. ", exercises, re.MULTILINE)) >= 3
    assert exercises.count(":class: dropdown") >= 3  # the answers, folded


def test_it_ends_with_facts_that_nbval_compares(notebook):
    """All of them decided, and true: a misspelt word would leave one open."""
    last = notebook.cells[-1]
    assert last.source.startswith("# NBVAL_CHECK_OUTPUT")
    (output,) = last.outputs
    first, *facts = output["text"].strip().splitlines()
    assert re.fullmatch(r"\d+ rows, about [0-9a-f]{8}", first)
    assert len(facts) >= 4
    assert [fact for fact in facts if not fact.startswith("yes  ")] == []


def test_the_columns_of_a_sentence_are_no_code(notebook):
    """Words of the code that no reader knows."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for stumble in ("made against", "made on", "an image image", "leaves of it"):
                assert stumble not in cell.source, cell.source
