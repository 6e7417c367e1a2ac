"""What Colab and Binder open: a page's notebook, and the advlib that made the page."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
import yaml

from advlib.book import launch
from advlib.book.heads import Page

ADDRESS = "https://github.com/us/book"
ROOT = Path(__file__).parents[1]


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "_config.yml"
    path.write_text((ROOT / "_config.yml").read_text(encoding="utf-8"), encoding="utf-8")
    return path


def settings(config):
    return yaml.safe_load(config.read_text(encoding="utf-8"))


def test_no_button_is_there_without_an_address(config):
    assert settings(config)["html"]["use_repository_button"] is False
    assert "launch_buttons" not in settings(config)


def test_buttons_come_with_the_address(config):
    before = settings(config)
    launch.configure(config, ADDRESS)
    made = settings(config)
    assert made["html"]["use_repository_button"] is True
    assert made["repository"] == {"url": ADDRESS, "branch": "launch"}
    assert made["launch_buttons"]["colab_url"].startswith("https://colab.")
    assert made["sphinx"] == before["sphinx"]


def test_where_colab_cannot_reach_it_has_no_button(config):
    launch.configure(config, "https://gitlab.com/us/book")
    assert settings(config)["html"]["use_repository_button"] is True
    assert "launch_buttons" not in settings(config)


@pytest.mark.parametrize("address", ["https://example.org/us/book", "github.com/us/book", ""])
def test_another_address_is_refused(config, address):
    with pytest.raises(ValueError, match="^ADVLIB_REPOSITORY: must be a repository's address"):
        launch.configure(config, address)


@pytest.fixture
def page(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    made = {"commit": "0123456789ab+", "parameters": {}, "seconds": 1, "started": "2026-11-28"}
    (run / "provenance.json").write_text(json.dumps(made))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("eps = 0.25")])
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text="measured")]
    nbformat.write(notebook, run / "notebook.ipynb")
    return Page(Path("book/studies/tiny.ipynb"), run / "notebook.ipynb", run, "tiny")


def test_the_notebook_installs_the_advlib_that_made_it(page, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    folder = tmp_path / "launch"
    launch.write(folder, [page], ADDRESS)
    install, parameters = nbformat.read(folder / page.notebook, as_version=4).cells
    assert '"advlib[study] @ git+https://github.com/us/book@0123456789ab"' in install.source
    assert parameters.source == "eps = 0.25"
    assert parameters.outputs == []


def test_binder_gets_what_advlib_needs_but_not_advlib(page, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    folder = tmp_path / "launch"
    launch.write(folder, [page], ADDRESS)
    environment = yaml.safe_load((folder / "environment.yml").read_text())
    assert environment["dependencies"][-1] == {"pip": ["-r requirements.lock"]}
    assert "torch==" in (folder / "requirements.lock").read_text()


def test_the_publishing_workflow_puts_the_folder_where_the_buttons_look(
    page, tmp_path, monkeypatch
):
    """Its own commands, twice, with a folder in the place of the repository on the network."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/pages.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["publish"]["steps"]
    (build,) = (step for step in steps if step.get("run") == "make book")
    assert list(build["env"]) == [launch.VARIABLE]
    (push,) = (step for step in steps if "git push" in step.get("run", ""))
    values = {"${{ github.token }}": "secret", "${{ github.repository }}": "us/book"}
    command = re.sub(r"\$\{\{.*?\}\}", lambda found: values[found[0]], push["run"])
    repository, stage = tmp_path / "repository", tmp_path / push["working-directory"]
    subprocess.run(["git", "init", "-q", "--bare", repository], check=True)
    monkeypatch.setenv("GITHUB_SHA", "0123456789ab")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{repository}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://x-access-token:secret@github.com/us/book")
    monkeypatch.chdir(ROOT)
    for _ in range(2):
        launch.write(stage, [page], ADDRESS)
        subprocess.run(["bash", "-e", "-c", command], cwd=stage, check=True)
        listed = ["git", "ls-tree", "-r", "--name-only", launch.BRANCH]
        there = subprocess.check_output(listed, cwd=repository, text=True).splitlines()
        assert there == [str(page.notebook), "environment.yml", "requirements.lock"]
        shutil.rmtree(stage)  # the next machine starts without it
