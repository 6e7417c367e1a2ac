"""The batch, on a notebook that takes a second."""

import heapq
import random
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from benchmarks.batch import best_order

from advlib import cli
from advlib.batch import Job, execute, plan, store
from advlib.batch.job import LOG
from advlib.batch.order import ordered
from advlib.batch.progress import Progress


def test_a_key_names_everything_that_counts(repository, monkeypatch):
    (job,) = plan.plan()
    assert plan.plan(["tiny"]) == [job]
    keys = {job.key, plan.plan(overrides={"eps": 0.2})[0].key}
    keys.add(plan.plan(profile="paper")[0].key)
    keys.add(plan.plan(threads=2)[0].key)
    notebook = repository / "notebooks/tiny.ipynb"
    book = nbformat.read(notebook, as_version=4)
    book.cells[1].outputs = [nbformat.v4.new_output("stream", text="an output does not count")]
    nbformat.write(book, notebook)
    assert plan.plan()[0].key == job.key
    book.cells[1].source += "\n# but the source does"
    nbformat.write(book, notebook)
    keys.add(plan.plan()[0].key)
    monkeypatch.setattr(plan, "source_digest", lambda _module: "other code")
    keys.add(plan.plan()[0].key)
    monkeypatch.setattr(plan, "paper_files", lambda _study: {"claims.toml": "another"})
    keys.add(plan.plan()[0].key)
    assert len(keys) == 7


def test_another_default_does_not_change_a_run_that_does_not_use_it(repository):
    given = {"eps": 0.2}
    (job,), (other,) = plan.plan(), plan.plan(overrides=given)
    notebook = repository / "notebooks/tiny.ipynb"
    book = nbformat.read(notebook, as_version=4)
    book.cells[0].source = book.cells[0].source.replace("eps = 0.3", "eps = 0.1")
    nbformat.write(book, notebook)
    assert plan.plan(overrides=given)[0].key == other.key
    assert plan.plan()[0].key != job.key
    assert plan.plan(overrides={"eps": 0.3})[0].key == job.key


def test_a_run_is_made_once_and_whole(repository, capfd):
    jobs = plan.plan()
    assert execute.run(jobs) == []
    run = store.folder(jobs[0])
    assert store.is_complete(run)
    assert store.provenance(run)["parameters"] == {"dataset": "digits", "eps": 0.3, "seeds": [0]}
    made = (run / "records.csv").stat().st_mtime_ns
    assert execute.run(jobs) == []
    assert "already complete" in capfd.readouterr().out
    assert (run / "records.csv").stat().st_mtime_ns == made
    text = (run / "notebook.ipynb").read_text()
    assert str(repository) not in text
    assert '"papermill"' not in text


def test_equal_parameters_give_equal_records(repository):
    (job,) = plan.plan()
    execute.run([job], out=Path("one"))
    execute.run([job], out=Path("two"))
    one, two = (store.folder(job, Path(out)) / "records.csv" for out in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_failing_job_is_told_and_does_not_stop_the_others(repository, capfd):
    bad, good = plan.plan(overrides={"eps": 0.5}) + plan.plan()
    (failure,) = execute.run([bad, good])
    assert "RuntimeError: half is too much" in failure
    assert not store.folder(bad).exists()
    assert store.is_complete(store.folder(good))
    failed = store.folder(bad).with_name(f"{bad.key}-failed")
    assert store.errors(failed / store.NOTEBOOK) == ["RuntimeError: half is too much"]
    assert cli.main(["run", "-p", "eps", "0.5"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "dataset", "nosuch"], "dataset"),
        (["-p", "dataset", ""], "dataset must be one of"),  # an empty text, not nothing
        (["-p", "eps", "3"], "eps: "),
        (["-p", "epss", "0.1"], "epss: "),
        (["other"], "study: unknown 'other'"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(repository, capfd, arguments, message):
    assert cli.main(["run", *arguments]) == 2
    assert message in capfd.readouterr().err
    assert not Path("runs").exists()


def test_an_incomplete_folder_is_made_anew(repository):
    (job,) = plan.plan()
    run = store.folder(job)
    run.mkdir(parents=True)
    (run / "records.csv").write_text("half")
    assert execute.run([job]) == []
    assert store.is_complete(run)


def test_a_notebook_that_saves_nothing_is_told(repository):
    notebook = repository / "notebooks/tiny.ipynb"
    book = nbformat.read(notebook, as_version=4)
    book.cells[1].source = "forgot = True"
    nbformat.write(book, notebook)
    (job,) = plan.plan()
    (failure,) = execute.run([job])
    assert "records.csv" in failure
    assert not store.folder(job).exists()


def test_a_log_is_not_filled_by_progress_bars(repository):
    notebook = repository / "notebooks/tiny.ipynb"
    book = nbformat.read(notebook, as_version=4)
    bar = "import time, tqdm\nfor _ in tqdm.tqdm(range(100)):\n    time.sleep(0.01)\n"
    book.cells[1].source = bar + book.cells[1].source
    nbformat.write(book, notebook)
    (job,) = plan.plan()
    assert execute.run([job]) == []
    assert 1 <= (store.folder(job) / LOG).read_text().count("/100 [") <= 3


def test_a_running_job_shows_what_is_left_of_the_time_it_took_before(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal,
    monkeypatch.setenv("NO_COLOR", "1")  # a black and white one
    known, late, new = (Job("tiny", Path("tiny.ipynb"), {}, {}, 12 * digit) for digit in "012")
    shown = Progress([known, late, new], {known.key: 7200.4, late.key: 60.0})
    for job in (known, late, new):
        shown.told(job, {"cell": 3, "cells": 10})
    shown.bars.tasks[2].start_time -= 100
    with shown.console.capture() as capture:
        shown.console.print(shown.bars.get_renderable())
    left = {line.split()[1]: line.split()[-1] for line in capture.get().splitlines()[1:]}
    assert left == {known.key: "2:00:00", late.key: "-:--:--", new.key: "-:--:--"}


def test_an_interrupted_run_leaves_nothing(tmp_path):
    run = tmp_path / "tiny/0123456789ab"

    def interrupted():
        with store.workspace(run) as work:
            (work / "records.csv").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(run.parent.iterdir()) == []


def test_a_sweep_is_every_combination():
    swept = plan.parse_sweep("seeds=0..2, eps=0.1,0.3,shares=[0.1, 0.2],[0.5],dataset=mnist")
    assert swept == {
        "seeds": [0, 1, 2],
        "eps": ["0.1", "0.3"],
        "shares": ["[0.1, 0.2]", "[0.5]"],
        "dataset": ["mnist"],
    }


@pytest.mark.parametrize(
    "text", ["0..9", "eps", "eps=", "eps=0.1,", "eps=0.1,eps=0.2", "seeds=3..1"]
)
def test_an_impossible_sweep_is_refused(repository, capfd, text):
    assert cli.main(["run", "--sweep", text]) == 2
    assert "advlib: sweep: " in capfd.readouterr().err


def test_swept_jobs_are_planned_once_each(repository, capfd):
    jobs = plan.plan(overrides={"dataset": "digits"}, sweep={"seeds": [0, 1, 1], "eps": [0.1, 0.2]})
    assert len({job.key for job in jobs}) == len(jobs) == 4
    assert [job.parameters["seeds"] for job in jobs] == [[0], [0], [1], [1]]
    assert jobs[0].changed == {"eps": 0.1}
    with pytest.raises(ValueError, match=r"^sweep: eps is set by -p, too"):
        plan.plan(overrides={"eps": 0.1}, sweep={"eps": [0.2]})
    with pytest.raises(ValueError, match=r"^eps: "):  # before any job starts
        plan.plan(sweep={"eps": [0.1, 3]})


def test_a_profile_of_several_documents_is_a_run_for_each(repository):
    file = repository / "notebooks/paper/tiny.yaml"
    texts = ["dataset: digits\neps: 0.1", "dataset: mnist", "dataset: cifar10\neps: 0.2"]
    file.write_text("\n---\n".join(texts))

    def planned(**options):
        jobs = plan.plan(profile="paper", **options)
        return [(job.parameters["dataset"], job.parameters["eps"]) for job in jobs]

    assert planned() == [("digits", 0.1), ("mnist", 0.1), ("cifar10", 0.2)]
    assert planned(overrides={"dataset": "cifar10"}) == [("cifar10", 0.2)]
    assert planned(overrides={"dataset": "fashion_mnist"}) == [("fashion_mnist", 0.1)]
    assert planned(sweep={"dataset": ["mnist", "digits"]}) == [("mnist", 0.1), ("digits", 0.1)]
    assert planned(overrides={"eps": 0.3}) == [("digits", 0.3), ("mnist", 0.3), ("cifar10", 0.3)]


def test_a_study_without_a_profile_is_left_out_unless_it_is_named(repository):
    bare = repository / "notebooks/bare.ipynb"
    bare.write_bytes((repository / "notebooks/tiny.ipynb").read_bytes())
    assert [job.study for job in plan.plan()] == ["bare", "tiny"]
    assert [job.study for job in plan.plan(profile="paper")] == ["tiny"]
    with pytest.raises(ValueError, match=r"^profile: bare has none called 'paper'"):
        plan.plan(["tiny", "bare"], profile="paper")
    (repository / "notebooks/paper/tiny.yaml").unlink()
    with pytest.raises(ValueError, match=r"^profile: no study has one called 'paper'"):
        plan.plan(profile="paper")


def test_a_dry_run_tells_and_does_nothing(repository, capfd):
    assert cli.main(["run", "--sweep", "eps=0.1,0.2", "--dry-run"]) == 0
    told = capfd.readouterr().out.splitlines()
    assert [line.split()[2:] for line in told[:2]] == [
        ["to", "run", "eps=0.1"],
        ["to", "run", "eps=0.2"],
    ]
    assert told[2] == "2 jobs: 0 complete, 2 to run"
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--workers", "0"], "workers"),
        (["--timeout", "-1"], "timeout"),
        (["--memory", "0"], "memory"),
        (["--gpus", "first"], "gpus"),
    ],
)
def test_impossible_options_are_named(repository, capfd, arguments, named):
    assert cli.main(["run", *arguments]) == 2
    assert f"advlib: {named}: " in capfd.readouterr().err
    assert not Path("runs").exists()


def test_a_key_does_not_depend_on_what_else_is_planned():
    jobs = plan.plan()
    last = next(job for job in jobs if job.study == "cross_resnet")
    code = f"from advlib.batch import plan; print(plan.plan([{last.study!r}])[0].key)"
    alone = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert alone.stdout.strip() == last.key, alone.stderr


@pytest.mark.parametrize(
    ("count", "workers", "above"), [(5, 1, 1.001), (5, 2, 1.001), (3, 4, 1.001), (7, 3, 13 / 11)]
)
def test_a_few_jobs_start_in_the_best_order(count, workers, above):
    pick = random.Random(0)
    for _ in range(20):
        seconds = {f"{number}": pick.uniform(20, 90) for number in range(count)}
        batch = ordered([Job("tiny", Path(), {}, {}, key) for key in seconds], seconds, workers)
        assert {job.key for job in batch} == seconds.keys()
        assert ended(batch, seconds, workers) <= above * best_order(seconds.values(), workers)


def test_many_jobs_share_the_workers_evenly():
    pick = random.Random(0)
    seconds = {f"{number}": pick.uniform(20, 90) for number in range(1000)}
    batch = ordered([Job("tiny", Path(), {}, {}, key) for key in seconds], seconds, 8)
    assert ended(batch, seconds, 8) <= 1.001 * sum(seconds.values()) / 8


def ended(batch, seconds, workers):
    """When the last job is over, if each starts on the first worker that is free."""
    free = [0.0] * workers
    for job in batch:
        heapq.heapreplace(free, free[0] + seconds[job.key])
    return max(free)
