"""Batches in which something goes wrong, on a notebook that needs nothing but a kernel."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from batches import command, jobs, running_cluster, tally, until

from advlib import cli
from advlib.batch import execute, plan, store
from advlib.batch.job import LOG, Limits
from advlib.batch.job import execute as execute_here


def test_a_killed_kernel_is_told_and_the_same_batch_again_makes_what_is_missing(bare):
    batch = jobs("dies", "")
    (failure,) = execute.run(batch, workers=1)
    assert failure.startswith(f"bare {batch[0].key}: the kernel died")
    assert store.is_complete(store.folder(batch[1]))
    assert not store.folder(batch[0]).exists()
    (bare / "again").touch()
    assert execute.run(batch, workers=1) == []
    assert [label for label, *_ in tally()] == ["dies", "", "dies"]


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("crashes", "the kernel died: SIGSEGV (Segmentation fault) ended it"),
        ("exits", "the kernel died: it ended with exit status 3"),
        ("dies", "the kernel died: it was killed, as the system does when memory runs out"),
        ("writes much", "cell 3 wrote more than 50 MB of output; files are the place for it"),
    ],
)
def test_a_failure_says_what_happened(bare, label, why):
    (failure,) = execute.run(jobs(label), workers=1)
    assert f": {why} (see " in failure


def test_output_may_be_large(bare):
    assert execute.run(jobs("writes some"), workers=1) == []


def test_a_killed_worker_hands_its_job_to_another(bare):
    (job,) = jobs("takes its worker along")
    assert execute.run([job], workers=1) == []
    assert store.is_complete(store.folder(job))
    (one, _, first, threads), (two, _, second, _) = tally()
    assert threads == "1/1"
    assert one == two == "takes its worker along"
    assert first != second
    assert [run.state for run in store.runs()] == ["complete"]  # nothing is left of the first


def test_a_job_that_kills_every_worker_is_given_up(bare):
    bad, good = jobs("always takes its worker along", "")
    (failure,) = execute.run([bad, good], workers=1)
    assert re.search(rf"bare {bad.key}: \d workers died while they had it", failure)
    assert store.is_complete(store.folder(good))


def test_a_kernel_takes_no_port_that_another_may_draw_too(bare):
    assert execute.run(jobs("tells how it is reached"), workers=1) == []
    assert json.loads((bare / "reached").read_text())["transport"] == "ipc"


def test_a_long_temporary_folder_is_none_for_a_socket(bare, monkeypatch):
    folder = bare / ("long" * 25)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    assert execute.run(jobs(""), workers=1) == []


def test_a_cell_that_hangs_is_stopped_at_its_limit(bare):
    bad, good = jobs("hangs", "")
    (failure,) = execute.run([bad, good], workers=1, cell_seconds=4)
    assert f"bare {bad.key}: a cell took more than 4 s" in failure
    assert store.is_complete(store.folder(good))


def test_a_kernel_that_outgrows_its_memory_is_stopped(bare):
    bad, good = jobs("grows", "")
    (failure,) = execute.run([bad, good], workers=1, memory=400 * 2**20)
    assert f"bare {bad.key}: the kernel died: it took more than 0.391 GiB" in failure
    assert store.is_complete(store.folder(good))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc's")
def test_a_kernel_keeps_the_memory_of_a_batch_for_the_next(bare):
    assert execute.run(jobs("takes and frees"), workers=1) == []
    first, *later = json.loads((bare / "faults").read_text())
    assert first > 3 * max(later), (first, later)  # pages that the system hands out


def test_a_full_disk_is_told_and_harms_no_finished_run(bare):
    small = bare / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk here")
    try:
        good, bad = jobs("", "fills the disk")
        assert execute.run([good], out=small, workers=1) == []
        (failure,) = execute.run([good, bad], out=small, workers=1)
        assert f"bare {bad.key}: " in failure
        assert "No space left on device" in failure
        assert store.is_complete(store.folder(good, small))
        assert not store.folder(bad, small).exists()
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_ctrl_c_leaves_nothing_half_made(bare):
    with command("-p", "label", "hangs") as going:
        until((bare / "started").exists)
        going.send_signal(signal.SIGINT)
        _, errors = going.communicate(timeout=60)
    assert going.returncode == 130
    assert "interrupted" in errors
    assert {run.state for run in store.runs()} <= {"abandoned"}
    (bare / "again").touch()
    assert execute.run(jobs("hangs"), workers=1) == []
    assert [run.state for run in store.runs()] == ["complete"]


def test_unknown_jobs_start_first_and_the_longest_of_the_others(bare):
    alike, less_alike = plan.plan(overrides={"label": "a"}, sweep={"seeds": [1, 2]})
    for number, (job, seconds, day) in enumerate(
        [(alike, 5.0, 1), (alike, 7.0, 2), (less_alike, 90.0, 3)]
    ):
        run = store.STORE / f"bare/00{number}"
        run.mkdir(parents=True)
        noted = {"parameters": job.parameters, "seconds": seconds, "started": f"2026-01-0{day}"}
        if day == 2:
            noted["worker_seconds"] = 9.0
        (run / store.PROVENANCE).write_text(json.dumps(noted))
    (store.STORE / "bare/003-failed").mkdir()
    short, long = jobs("a", seed=1) + jobs("b", seed=2)
    assert store.expected([short, long]) == {short.key: 9.0, long.key: 90.0}
    assert store.expected([dataclasses.replace(short, study="other")]) == {}
    unknown = dataclasses.replace(jobs("c")[0], study="other")
    assert execute.run([short, long, unknown], workers=1) == []
    assert [label for label, *_ in tally()] == ["c", "b", "a"]
    made = store.provenance(store.folder(short))
    assert made["worker_seconds"] > made["seconds"] == 0.1


def test_two_batches_at_once_make_each_run_once(bare):
    words = ("-p", "label", "slow", "--sweep", "seeds=0..2")
    with command(*words) as one, command(*words) as other:
        for process in (one, other):
            _, errors = process.communicate(timeout=200)
            assert process.returncode == 0, errors
    assert sorted(seed for _, seed, *_ in tally()) == ["0", "1", "2"]
    assert len(store.runs()) == 3


def test_a_cluster_that_is_there_shares_the_jobs_and_keeps_their_threads(bare):
    batch = plan.plan(overrides={"label": "slow"}, sweep={"seeds": range(4)}, threads=2)
    with running_cluster(bare, workers=2) as (file, _):
        assert execute.run(batch, scheduler=file) == []
    assert all(store.is_complete(store.folder(job)) for job in batch)
    assert len({worker for _, _, worker, _ in tally()}) == 2
    assert {threads for *_, threads in tally()} == {"2/2"}


def test_a_scheduler_that_goes_away_is_told(bare):
    done, bad = jobs("", "hangs")
    with running_cluster(bare, workers=1) as (file, scheduler):
        assert execute.run([done], scheduler=file) == []
        (bare / "started").unlink()
        with command("-p", "label", "hangs", "--scheduler", file) as going:
            until((bare / "started").exists)
            scheduler.kill()
            _, errors = going.communicate(timeout=120)
    assert going.returncode == 1
    assert f"bare {bad.key}: the scheduler went away before it finished" in errors
    assert store.is_complete(store.folder(done))
    assert not store.folder(bad).exists()


def test_nobody_at_the_address(bare, capfd):
    assert cli.main(["run", "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "scheduler: nobody answers at tcp://127.0.0.1:9" in capfd.readouterr().err


def test_a_store_may_be_any_filesystem(bare):
    (job,) = jobs("")
    told = []
    address = f"memory://{bare.name}/runs"
    made = execute_here(job, address, folder=str(bare), limits=Limits(), tell=told.append)
    run = store.at(made)
    assert store.is_complete(run)
    assert [(note["cell"], note["cells"]) for note in told] == [(1, 2), (2, 2), (3, 2)]
    assert re.fullmatch(
        r"[\d.]+ s: cell 1 of 2\n[\d.]+ s: cell 2 of 2\n[\d.]+ s: done\n",
        "".join(line for line in (run / LOG).open() if " s: " in line),
    )
    assert execute_here(job, address, folder=str(bare), limits=Limits(), tell=told.append) == made
    assert len(tally()) == 1
    (found,) = store.runs(store.at(address))
    assert (found.study, found.key, found.state) == ("bare", job.key, "complete")
    assert store.chosen([found], state="complete") == [found]
    assert store.remove(found)
    assert store.runs(store.at(address)) == []


def test_runs_are_listed_and_deleted_by_state_and_age(bare, capfd):
    good, bad = jobs("", "hangs")
    execute.run([good, bad], workers=1, cell_seconds=4)
    left = store.STORE / "bare/.0123456789ab-left"
    left.mkdir()
    (left / store.MARK).touch()
    assert cli.main(["runs"]) == 0
    listed = capfd.readouterr().out
    for key, state in ((good.key, "complete"), (bad.key, "failed"), ("0123456789ab", "abandoned")):
        assert re.search(rf"bare +{key} +{state}", listed)
    assert cli.main(["runs", "rm"]) == 2
    assert cli.main(["runs", "rm", "--state", "lost"]) == 2
    assert cli.main(["runs", "rm", "--older", "soon"]) == 2
    assert cli.main(["runs", "rm", "--state", "failed", "--older", "1h", "--yes"]) == 0
    assert len(store.runs()) == 3
    assert cli.main(["runs", "rm", "--state", "failed", "--yes"]) == 0
    assert cli.main(["runs", "rm", "--state", "abandoned", "--yes"]) == 0
    assert [run.key for run in store.runs()] == [good.key]


def test_socket_folders_go_however_a_batch_ends(bare, monkeypatch):
    with tempfile.TemporaryDirectory(dir="/tmp") as place:  # a short name, as sockets need it
        monkeypatch.setenv("TMPDIR", place)
        for label in ("takes its worker along", "crashes"):
            with command("-p", "label", label) as going:
                going.communicate(timeout=100)
            assert not list(Path(place).glob("advlib-*"))
        (bare / "started").unlink()
        (bare / "again").unlink()
        with command("-p", "label", "hangs") as going:
            until((bare / "started").exists)
            going.kill()
            going.wait()
        assert list(Path(place).glob("advlib-*"))  # nobody was left to clean up
        with command() as going:
            _, errors = going.communicate(timeout=100)
        assert going.returncode == 0, errors
        assert not list(Path(place).glob("advlib-*"))


def test_an_early_interrupt_leaves_no_traceback(bare, monkeypatch, capfd):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(plan, "plan", interrupted)
    assert cli.main(["run"]) == 130
    assert capfd.readouterr().err == (
        "advlib: interrupted; the same command goes on with what is missing\n"
    )


@pytest.mark.parametrize("module", ["advlib", "advlib.cli"])
def test_a_module_is_the_command_too(module):
    told = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True)
    assert told.returncode == 0
    assert told.stdout.startswith("usage: advlib")


def test_a_locale_without_umlauts_is_no_matter(bare, monkeypatch):
    words = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    for name, value in words.items():
        monkeypatch.setenv(name, value)
    label = "naïve – 犬"
    with command("-p", "label", label) as going:
        _, errors = going.communicate(timeout=100)
    assert going.returncode == 0, errors
    (run,) = store.runs()
    assert store.provenance(run.folder)["parameters"]["label"] == label
    publish = [sys.executable, "-m", "advlib", "publish", str(run.folder), "--as", "page"]
    assert subprocess.run(publish, capture_output=True).returncode == 0
    assert store.provenance(Path("book/studies/page"))["parameters"]["label"] == label
