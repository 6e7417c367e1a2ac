"""The head of a study's page: what its run is, at what scale, and how to make it again."""

from __future__ import annotations

import ast
import functools
import json
import os
import re
import shlex
import zipfile
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbformat import NotebookNode

from advlib import contradictions, data, studies
from advlib.batch import plan, store
from advlib.book import lab
from advlib.book.shown import safe_markdown
from advlib.plots import interactive
from advlib.saved import VERDICTS

BANNER = """:::{warning}
**A smoke test on small data.** It shows that the code runs; it judges no paper. That is what the
published pages are for, at the head of the contents.
:::
"""
ALL = "; 0 for all"  # how a comment says it
LINK = re.compile(r"\]\((?![\w+.-]+:|#|/)([^)\s#]+)")  # to another page, in Markdown
# What a reader may take home: the results in one archive, and the notebook without its outputs,
# which the page shows.
RESULTS = ("records.csv", "outcomes.safetensors", "verdicts.csv", "provenance.json", "timings.csv")
NOTEBOOK = "notebook.ipynb"


class Page(NamedTuple):
    """A page of the site and where it comes from."""

    notebook: Path  # below the site's sources
    origin: Path  # the executed notebook
    run: Path | None  # the folder of its run; None if only its outputs are kept
    study: str

    @property
    def quick(self) -> bool:
        """Its run has the study's default parameters."""
        return self.notebook.parent == Path("notebooks")


def headed(page: Page) -> NotebookNode:
    """The page's notebook with its data in the title, and the head after it."""
    notebook = nbformat.read(page.origin, as_version=4)
    for cell in notebook.cells:
        if {"parameters", "injected-parameters"} & set(cell.metadata.get("tags", ())):
            cell.metadata["tags"] = [*cell.metadata["tags"], "hide-cell"]
        answer(cell)
    if not page.quick:
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = LINK.sub(functools.partial(_moved, page.notebook), cell.source)
    first = notebook.cells[0]
    of_paper = studies.settings_of(page.study, {}).paper
    banner = BANNER if page.quick and of_paper else ""
    if page.run is None:
        first.source = _after_title(first.source, banner)
        return notebook
    made = store.provenance(page.run)
    first.source = _titled(first.source, data_of(made["parameters"]))
    changed = plan.source(page.origin) != plan.source(plan.studies()[page.study])
    parts = [banner, _box(page, made, changed), _tables(page, made)]
    text = "\n\n".join(filter(None, parts))
    head = nbformat.v4.new_markdown_cell(f"::::{{div}} run-head\n{text}\n::::", id="run-head")
    notebook.cells.insert(1, head)
    if page.study in contradictions.STUDIES and not page.quick:
        told = nbformat.v4.new_markdown_cell(_contradictions(page.study), id="contradictions")
        notebook.cells.append(told)
    return notebook


def answer(cell: NotebookNode) -> None:
    """Give the page what its script draws of the cell's figures (`plots.interactive`)."""
    outputs = cell.get("outputs", ())
    pictures = [
        out for out in outputs if any(kind.startswith("image/") for kind in out.get("data", ()))
    ]
    for number, output in enumerate(pictures):
        if drawn := output["data"].pop(interactive.MIME, None):
            text = json.dumps(drawn, separators=(",", ":")).replace("</", "<\\/")
            kind = f'type="application/json" class="interactive-data" data-picture="{number}"'
            data = {"text/html": f"<script {kind}>{text}</script>"}
            cell.outputs.append(nbformat.v4.new_output("display_data", data))


def pack(page: Page, archive: Path) -> None:
    """Write the results of the page's run into one zip file, whose bytes tell only of them."""
    with zipfile.ZipFile(archive, "w") as packed:
        for file in _results(page):
            named = zipfile.ZipInfo(f"{archive.stem}/{file.name}")
            packed.writestr(named, file.read_bytes(), zipfile.ZIP_DEFLATED)


def _results(page: Page) -> list[Path]:
    return [page.run / name for name in RESULTS if page.run and (page.run / name).is_file()]


def without_outputs(executed: Path) -> NotebookNode:
    """The notebook with the parameters of its run, to be run again."""
    notebook = nbformat.read(executed, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def _moved(page: Path, found: re.Match) -> str:
    """A link of a notebook, which starts from notebooks/, as it is from the published page."""
    target = os.path.normpath(Path("notebooks", found[1]))
    return f"]({Path(os.path.relpath(target, page.parent)).as_posix()}"


def _contradictions(study: str) -> str:
    """The section of a published page on its paper's contradictions, each of them folded."""
    rows = contradictions.contradictions(study)
    parts = [
        "## Where the paper contradicts itself",
        f"Our reading of it names {len(rows)} such places. Figures in italics are recomputed from "
        "the paper's own tables.",
    ]
    for row in rows.itertuples():
        told = contradictions.told(row)
        parts.append(f":::{{dropdown}} {row.id}: {row.title}\n{told}\n:::")
    return "\n\n".join(parts)


def data_of(parameters: Mapping[str, Any]) -> str:
    """The data sets of a run as a title names them: "an ImageNet sample and MNIST"."""
    pairs = (("dataset", "label"), ("distilled_on", "distilled_label"))
    known = [
        data.title(parameters[name], parameters.get(label) or "")
        for name, label in pairs
        if parameters.get(name)
    ]
    return " and ".join(dict.fromkeys(known))


def command(study: str, parameters: Mapping[str, Any]) -> str:
    """The shortest `advlib run` that makes a run with these parameters.

    Raises ValueError if the study has other parameters.
    """
    notebook = plan.studies()[study]
    defaults = plan.schema(notebook)
    if defaults.keys() != parameters.keys():
        raise ValueError(f"{study}: has other parameters by now")
    bases = {"": defaults, " --profile paper": defaults | _paper(study, parameters)}
    commands = [
        f"advlib run {study}{option}"
        + "".join(
            f" -p {name} {shlex.quote(_text(value))}"
            for name, value in parameters.items()
            if base[name] != value or (option and name == "dataset")
        )
        for option, base in bases.items()
    ]
    return min(commands, key=len)


def comments(notebook: NotebookNode) -> dict[str, tuple[Any, str]]:
    """Each parameter's default, and what its comment says of it."""
    (source,) = (
        cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())
    )
    lines, found = source.splitlines(), {}
    for statement in ast.parse(source).body:
        assert isinstance(statement, ast.Assign)
        (target,) = statement.targets
        whole = [lines[(statement.end_lineno or 1) - 1], lines[statement.lineno - 1]]
        said = next((line.partition("  # ")[2] for line in whole if "  # " in line), "")
        found[ast.unparse(target)] = (ast.literal_eval(statement.value), said)
    return found


def _titled(source: str, of: str) -> str:
    title, _, rest = source.partition("\n")
    name, colon, question = title.partition(":")
    if " " in of and of[1:].islower():  # a phrase, not a name, begins small within a sentence
        of = of[0].lower() + of[1:]
    return f"{name} on {safe_markdown(of)}{colon}{question}\n{rest}"


def _after_title(source: str, text: str) -> str:
    title, _, rest = source.partition("\n")
    return f"{title}\n\n{text}\n{rest}"


def _box(page: Page, made: Mapping[str, Any], changed: bool) -> str:
    seeds = ", ".join(map(str, made["parameters"].get("seeds", ())))
    sets = ", ".join(
        f"{safe_markdown(data.title(name))} (`{mark}`)" for name, mark in made["data"].items()
    )
    beside = page.notebook.with_suffix("").name
    inside = ", ".join(file.name for file in _results(page))
    links = [
        f"{{download}}`the results <{beside}/{beside}.zip>` ({inside})",
        f"{{download}}`the notebook <{beside}/{NOTEBOOK}>`",
    ]
    up = "../" * (len(page.notebook.parts) - 1)
    age = ""
    if changed:
        age = " **The study's notebook has changed since**; this page is an earlier version of it."
    if changed and page.run and not (page.run / VERDICTS).is_file():
        age += f" Its verdicts follow earlier rules; [today's]({up}book/claims.md) rest on its "
        age += "records."
    threads = "1 thread" if made["threads"] == 1 else f"{made['threads']} threads"
    took = timedelta(seconds=round(made["seconds"]))
    rows = {
        "data": f"{sets}",
        "seeds": seeds,
        "made": f"{made['started'][:10]} at commit `{made['commit'] or 'unknown'}`, in {took} "
        f"(h:mm:ss) on {safe_markdown(made['device'])}, {threads}."
        f"{_parts(made)}{age}{_redrawn(made)}",
        "downloads": ", ".join(links),
        "words": f"[protocols and verdicts]({up}book/protocols.md)",
    }
    if step := lab.OF_STUDY.get(page.study):
        rows["attack it yourself"] = (
            f'<a href="{up}book/lab.html?{step.address(0.2)}">in the lab</a>'
        )
    known = plan.schema(plan.studies()[page.study])
    near = {name: made["parameters"].get(name, default) for name, default in known.items()}
    same = known.keys() == made["parameters"].keys()
    how = "with" if same else "as near as the study's present parameters allow, with"
    rows["make it again"] = f"[how]({up}book/rerun.md), {how}"
    again = f"\n```bash\n{command(page.study, near)}\n```\n"
    told = "\n".join(f"**{name}**: {text}\\" for name, text in rows.items() if text)
    return f":::{{admonition}} This run\n:class: note\n{told.rstrip(chr(92))}\n{again}:::"


def _parts(made: Mapping[str, Any]) -> str:
    """Of a run that joined others: which seeds came from where."""
    told = [
        f"{', '.join(map(str, part['seeds']))} on {part['started'][:10]} at commit "
        f"`{part['commit'] or 'unknown'}`"
        for part in made.get("joined", ())
    ]
    return f" Seeds {'; '.join(told)}." if told else ""


def _redrawn(made: Mapping[str, Any]) -> str:
    """Of a page whose figures are later than its run."""
    if "redrawn" not in made:
        return ""
    later = made["redrawn"]
    return (
        f" {later['figures']} figures were drawn again from its records on {later['date']}, at "
        f"commit `{later['commit']}`."
    )


def _tables(page: Page, made: Mapping[str, Any]) -> str:
    """The scale beside the paper's, if there is a paper, and all parameters, folded."""
    known = comments(nbformat.read(page.origin, as_version=4))
    used = {name: value for name, value in made["parameters"].items() if name in known}
    default = {name: value for name, (value, _) in known.items()}
    settings = studies.settings_of(page.study, {})
    scale = [name for name in settings.scale if name in used]
    columns = {"this run": used}
    if settings.paper:
        columns["paper's profile"] = default | _paper(page.study, used)

    def row(name: str, *values: Any) -> str:
        said = known[name][1]
        cells = ("all" if not v and ALL in said else _cell(v) for v in values)
        return f"| {safe_markdown(said.replace(ALL, '')) or name} | {' | '.join(cells)} |"

    of_scale = [row(name, *(of[name] for of in columns.values())) for name in scale]
    above = "\n".join([*_head("scale", columns=columns), *of_scale]) if scale else ""
    columns["quick default"] = default
    rows = [f"| `{name}` {row(name, *(of[name] for of in columns.values()))}" for name in used]
    heads = _head("parameter", "what it is", columns=columns)
    folded = "\n".join([":::{dropdown} All parameters", *heads, *rows, ":::"])
    return "\n\n".join(filter(None, [above, folded]))


def _head(*texts: str, columns: Iterable[str]) -> list[str]:
    """The head of a table in Markdown: columns of texts, then columns of values."""
    values = list(columns)
    sides = [":--"] * len(texts) + ["--:"] * len(values)
    return [f"| {' | '.join([*texts, *values])} |", f"|{'|'.join(sides)}|"]


def _paper(study: str, used: Mapping[str, Any]) -> dict[str, Any]:
    """The study's paper profile on this run's data, or on its own; {} if it has none."""
    try:
        profiles = plan.profile_of(plan.studies()[study], "paper")
    except ValueError:
        return {}
    own = [p for p in profiles if p.get("dataset") == used.get("dataset")]
    return (own or profiles)[0]


def _text(value: Any) -> str:
    if isinstance(value, (list, bool)):
        return json.dumps(value)
    return str(value)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_cell, value)) or "–"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return safe_markdown(text.replace("|", "\\|")) or "–"
