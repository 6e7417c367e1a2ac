"""What the store holds to be a run, what is wrong with one, and what `advlib runs rm` deletes."""

from __future__ import annotations

import io
import json
import os
import stat
import sys

import pytest
from batches import jobs, tally

from advlib import cli
from advlib.batch import execute, store
from advlib.files import write_whole


@pytest.fixture
def made(bare):
    """A complete run."""
    (job,) = jobs("")
    assert execute.run([job], workers=1) == []
    return store.folder(job)


def answered(monkeypatch, text, *, terminal=True):
    asked = io.StringIO(text)
    asked.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stdin", asked)


def test_only_what_a_batch_made_is_deleted(made, bare, monkeypatch, capfd):
    """`rm --out . --older 0s` once took every folder's folders for abandoned runs."""
    elsewhere = bare / "precious"
    for place in (bare / "src/package", bare / "runs/bare/mine", elsewhere):
        place.mkdir(parents=True)
        (place / "work.txt").write_text("years of it")
    (bare / "runs/bare/linked").symlink_to(elsewhere)
    (bare / "runs/other").symlink_to(made.parent)
    (elsewhere / store.MARK).touch()
    for out in (".", "runs"):
        assert cli.main(["runs", "rm", "--out", out, "--older", "0s", "--yes"]) == 0
    said = capfd.readouterr().out
    assert said.count("Deleted") == 1
    assert not made.exists()
    for place in (bare / "src/package", bare / "runs/bare/mine", elsewhere):
        assert (place / "work.txt").read_text() == "years of it"


def test_it_shows_and_asks_first(made, monkeypatch, capfd):
    words = ["runs", "rm", "--state", "complete"]
    answered(monkeypatch, "", terminal=False)
    assert cli.main(words) == 2
    assert "--yes is needed" in capfd.readouterr().err
    for answer in ("", "n\n", "no\n", "what?\n"):
        answered(monkeypatch, answer or "\n")
        assert cli.main(words) == 0
        said = capfd.readouterr().out
        assert f"bare {made.name} (complete) {made}" in said
        assert "Nothing is deleted" in said
    assert store.is_complete(made)
    answered(monkeypatch, "y\n")
    assert cli.main(words) == 0
    assert not made.exists()


def test_a_run_that_is_made_anew_is_kept(made, capfd):
    (found,) = store.runs()
    with store.claimed(made):
        assert not store.remove(found)
    assert store.is_complete(made)
    assert store.remove(found)


def test_a_state_that_is_none_is_refused(made, capfd):
    assert cli.main(["runs", "rm", "--state", "running", "--yes"]) == 2
    assert "state: must be one of complete, failed, abandoned, damaged, got 'running'" in (
        capfd.readouterr().err
    )


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("notebook.ipynb", b"", "notebook.ipynb is empty"),
        ("notebook.ipynb", b"{", "notebook.ipynb is no notebook"),
        ("notebook.ipynb", b"[]", "notebook.ipynb is no notebook"),
        ("notebook.ipynb", b'{"nbformat": 4, "nbformat_minor": 5, "cells": 3}', "is no notebook"),
        ("notebook.ipynb", b"\xff\xfe\x00", "notebook.ipynb is no notebook"),
        ("provenance.json", b"", "provenance.json is empty"),
        ("provenance.json", b"{", "provenance.json is damaged"),
        ("provenance.json", b"[]", "provenance.json is damaged"),
        (
            "provenance.json",
            b'{"seconds": 1}',
            "provenance.json is damaged (KeyError('parameters'))",
        ),
        ("records.csv", b"", "records.csv is empty"),
        ("records.csv", b"value\n", "records.csv holds no records"),
        ("records.csv", b"\x00\x00\x00\n\x00", "records.csv holds no records"),
        ("timings.csv", None, "timings.csv is missing"),
    ],
)
def test_a_damaged_run_is_named_made_anew_and_removable(made, bare, capfd, name, content, problem):
    (file := made / name).unlink()
    if content is not None:
        file.write_bytes(content)
    assert problem in store.problem(made)
    assert [run.state for run in store.runs()] == ["damaged"]
    assert cli.main(["runs"]) == 0
    assert problem in capfd.readouterr().out
    assert cli.main(["run", "--dry-run"]) == 0
    assert cli.main(["publish", str(made)]) == 2
    said = capfd.readouterr().err
    assert str(made) in said
    assert problem in said
    assert store.expected(jobs("other")) == {} or name != "provenance.json"
    assert execute.run(jobs(""), workers=1) == []  # remade
    assert store.is_complete(made)
    assert len(tally()) == 2
    (made / store.NOTEBOOK).write_text("")
    assert cli.main(["runs", "rm", "--state", "damaged", "--yes"]) == 0
    assert not made.exists()


def test_a_run_made_before_there_were_marks_is_one(made):
    (made / store.MARK).unlink()
    assert store.runs() == []
    noted = store.provenance(made) | {"study": "bare"}
    (made / store.PROVENANCE).write_text(json.dumps(noted))
    assert [run.key for run in store.runs()] == [made.name]


def test_a_link_in_a_run_s_place_is_replaced_and_what_it_points_to_kept(made, bare):
    elsewhere = bare / "elsewhere"
    made.rename(elsewhere)
    (elsewhere / "records.csv").unlink()
    made.symlink_to(elsewhere)
    assert execute.run(jobs(""), workers=1) == []
    assert store.is_complete(made)
    assert not made.is_symlink()
    assert (elsewhere / store.NOTEBOOK).is_file()


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_user_s_umask_is_respected(bare, mask):
    before = os.umask(mask)
    try:
        write_whole(bare / "file", lambda part: part.write_text("content"))
        with store.workspace(store.STORE / "bare" / "0123") as work:
            (work / "records.csv").write_text("content")
    finally:
        os.umask(before)
    rights = {
        path: stat.S_IMODE(path.stat().st_mode)
        for path in (bare / "file", store.STORE / "bare/0123")
    }
    assert list(rights.values()) == [0o666 & ~mask, 0o777 & ~mask]


def test_a_tilde_is_the_user_s_home(bare, monkeypatch, capfd):
    monkeypatch.setenv("HOME", str(bare / "home"))
    assert cli.main(["run", "--out", "~/mine"]) == 0
    assert [run.state for run in store.runs(bare / "home/mine")] == ["complete"]
    assert cli.main(["runs", "--out", "~/mine"]) == 0
    assert "complete" in capfd.readouterr().out
    assert not (bare / "~").exists()


@pytest.mark.parametrize("address", ["nosuch://bucket/runs", "s3://bucket/runs"])
def test_an_address_that_cannot_be_reached_is_named(bare, monkeypatch, capfd, address):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    for words in (["run", "--dry-run"], ["run"], ["runs"]):
        assert cli.main([*words, "--out", address]) == 2
        assert f"advlib: out: {address} cannot be reached" in capfd.readouterr().err
