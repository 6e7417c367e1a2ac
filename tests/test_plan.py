"""What the command line's texts become, before anything runs."""

import pytest

from advlib import cli
from advlib.batch import plan, store


def planned(capfd, *words):
    """The exit status of a dry run, and what it says."""
    status = cli.main(["run", *words, "--dry-run"])
    said = capfd.readouterr()
    return status, said.out + said.err


def test_a_value_is_read_by_its_parameter_s_own_type(tmp_path, capfd):
    jobs = plan.plan(
        ["aft_fgsm_vs_jsma"],
        {"steps": "010", "tune_lr": "5e-4", "flip": "true", "label": "010 # no", "counts": "[60]"},
    )
    given = jobs[0].changed
    assert given == {
        "steps": 10,
        "tune_lr": 0.0005,
        "flip": True,
        "label": "010 # no",
        "counts": [60],
    }
    folder = tmp_path / "my #1"
    with pytest.raises(ValueError, match=r"there is no folder .*/my #1\."):
        plan.plan(["dominant_filters"], {"dataset": f"folder:{folder}"})
    assert planned(capfd, "dominant_filters", "-p", "eps", "5e-2")[0] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-p", "seeds", "["], "seeds: must be a valid list, got '['"),
        (["-p", "eps", "hello"], "eps: must be a valid number, got 'hello'"),
        (["-p", "epz", "0.1"], "did you mean 'eps'"),
        (["-p", "eps", "0.1", "-p", "eps", "0.2"], "eps: is set to both '0.1' and '0.2'"),
        (["--sweep", "seeds=0..99999999999"], "sweep: seeds must be at most 100,000 values"),
        (["--sweep", "seeds=0..999,steps=1..999"], "at most 100,000 combinations, got 999,000"),
        (["--sweep", "eps=0.1,two"], "eps: must be a valid number, got 'two'"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(capfd, words, says):
    status, said = planned(capfd, "dominant_filters", *words)
    assert status == 2
    assert said.startswith("advlib: ")
    assert says in said


def test_swept_texts_are_read_as_the_others_are():
    swept = plan.parse_sweep("seeds=0..1,shares=[0.5],[0.2, 0.3],eps=0.10")
    jobs = plan.plan(["dominant_filters"], sweep=swept)
    assert [(j.parameters["seeds"], j.parameters["shares"]) for j in jobs] == [
        ([0], [0.5]), ([0], [0.2, 0.3]), ([1], [0.5]), ([1], [0.2, 0.3])
    ]  # fmt: skip
    assert {job.parameters["eps"] for job in jobs} == {0.1}


def test_a_joined_run_is_another_job_and_its_kernel_hears_of_it(repository, capfd):
    assert cli.main(["run", "-p", "seeds", "[0]"]) == 0
    first = next((repository / "runs/tiny").glob("[!.]*"))
    words = ["tiny", "-p", "seeds", "[1]"]
    (alone,), (joined,) = (
        plan.plan(["tiny"], {"seeds": [1]}),
        plan.plan(["tiny"], {"seeds": [1]}, join=[first]),
    )
    assert joined.key != alone.key
    assert cli.main(["run", *words, "--join", str(first)]) == 0
    made = store.provenance(store.folder(joined))
    assert made["parameters"]["seeds"] == [0, 1]
    status, said = planned(capfd, "tiny", "--join", str(first))
    assert (status, "seeds that are there already: [0]" in said) == (2, True)
