"""A reader's own network: three whose judgement is known, and everything that cannot be judged."""

import json
import textwrap

import pytest
from safetensors.torch import save_model

from advlib import cache, data, evaluation, judge, worst_case
from advlib.attacks import Attack, fgsm
from advlib.claims import FAILS, HOLDS, UNDECIDED, UNTESTED
from advlib.cli import main
from advlib.judge import judging
from advlib.worst_case import WORST, worst_cases

EPS = 0.1
QUICK = {"eps": EPS, "steps": 10, "restarts": 2, "queries": 50, "images": 60, "size": 16}
FILE = """
    import json
    from pathlib import Path

    import torch
    from safetensors.torch import load_model
    from torch import nn

    from advlib import networks

    HERE = Path(__file__).parent


    def plain():
        network = networks.build("shallow_cnn", size=16)
        load_model(network, HERE / "plain.safetensors")
        return network


    def robust():
        network = networks.build("shallow_cnn", size=16, dropout=0.0)
        load_model(network, HERE / "robust.safetensors")
        return network


    class Surer(nn.Module):
        def __init__(self, network, factor):
            super().__init__()
            self.network, self.factor = network, factor

        def forward(self, images):
            return self.factor * self.network(images)


    def masked():
        return Surer(plain(), json.loads((HERE / "factor.json").read_text()))


    class Cut(Surer):
        def forward(self, images):
            return self.network(images)[:, : self.factor]


    def three():
        return Cut(plain(), 3)


    class Shifted(Surer):
        def forward(self, images):
            return self.network(images * 0.5 + 0.5)


    def shifted():
        return Shifted(plain(), 1)


    def unknown():
        return Surer(plain(), float("nan"))


    def failing():
        raise RuntimeError("no weights here")


    def number():
        return 7


    def empty():
        return nn.Flatten()
"""


@pytest.fixture(scope="module")
def folder(shallow, hardened, tmp_path_factory):
    """Somebody's folder: a file of functions, weights, and a number that one of them reads."""
    place = tmp_path_factory.mktemp("yours")
    (place / "nets.py").write_text(textwrap.dedent(FILE))
    (place / "factor.json").write_text("10000")
    save_model(shallow, place / "plain.safetensors")
    save_model(hardened, place / "robust.safetensors")
    return place


def judged(folder, function, out, **changes):
    settings = {"dataset": "digits", "undefended": f"{folder}/nets.py:plain"} | QUICK | changes
    return judge.report(out, network=f"{folder}/nets.py:{function}", **settings)


def accuracy(judgement, **wanted):
    rows = judgement.run.rows
    for column, value in wanted.items():
        rows = rows[rows[column].eq(value)]
    return rows["value"].item()


def test_a_masked_network_is_seen_through(folder, tmp_path):
    judgement = judged(folder, "masked", tmp_path, images=200)
    own = {"defense": judging.YOURS, "attack": "PGD", "protocol": "white-box"}
    assert accuracy(judgement, **own, gradient="float32") > 0.5
    assert accuracy(judgement, **own, gradient="exact") < 0.3
    assert judgement.verdict == FAILS
    signs = judgement.audit.set_index("check")["verdict"]
    assert signs["zero gradients"] == "warn"


def test_training_on_pgd_holds(folder, tmp_path):
    judgement = judged(folder, "robust", tmp_path)
    assert judgement.verdict == HOLDS, judgement.reason
    share, count = judgement.worst
    assert count == 60
    plain = accuracy(judgement, defense="none", attack=WORST, protocol="white-box")
    assert share > plain + judging.GAIN
    assert judgement.verdict in judgement.says


def test_without_autoattack_nothing_is_said_to_hold(folder, tmp_path):
    judgement = judged(folder, "robust", tmp_path, no_autoattack=True)
    assert judgement.verdict == UNDECIDED
    assert "AutoAttack was not run" in judgement.reason


def test_with_a_warning_nothing_is_said_to_hold(folder, tmp_path, monkeypatch):
    own = judging.audit

    def warned(*arguments, **options):
        return own(*arguments, **options).assign(verdict="warn")

    monkeypatch.setattr(judging, "audit", warned)
    judgement = judged(folder, "robust", tmp_path)
    assert judgement.verdict == UNDECIDED
    assert "restarts still helping" in judgement.reason


def test_without_an_undefended_network_there_is_a_number_and_no_verdict(folder, tmp_path):
    judgement = judged(folder, "robust", tmp_path, undefended="")
    assert judgement.verdict == UNTESTED
    assert "undefended" in judgement.reason
    assert judgement.worst[0] > 0


def test_the_worst_case_is_no_better_than_any_attack(folder, tmp_path):
    judgement = judged(folder, "robust", tmp_path, untricked=f"{folder}/nets.py:plain")
    rows = judgement.run.rows
    assert {"static", "adaptive", "white-box"} <= set(rows["protocol"])
    for _, of in rows[rows["protocol"].ne("clean")].groupby(["defense", "protocol"]):
        worst = of["attack"].eq(WORST)
        assert worst.sum() == 1
        assert of.loc[worst, "value"].item() <= of["value"].min()


def test_what_was_attacked_is_not_attacked_again(folder, tmp_path):
    first = judged(folder, "masked", tmp_path)
    made = sorted(cache.root().rglob("*.safetensors"))
    again = judged(folder, "masked", tmp_path)
    assert sorted(cache.root().rglob("*.safetensors")) == made
    assert again.run.rows.equals(first.run.rows)


def test_another_factor_in_a_file_beside_it_is_another_network(folder):
    split = data.load("digits", size=16, test=20, train=1, validation=0.0).test

    def key():
        loaded = judge.load(f"{folder}/nets.py:masked", split, classes=10)
        return cache.digest(loaded)

    before = key()
    assert key() == before
    (folder / "factor.json").write_text("20000")
    assert key() != before
    (folder / "factor.json").write_text("10000")
    assert key() == before


def test_few_classes_leave_autoattack_out(folder, tmp_path, digits):
    split = digits.test
    among = split.labels < 3
    split = data.Split(*(part[among] for part in split)).first(40)
    network = judge.load(f"{folder}/nets.py:three", split, classes=3)
    run = judging.Run("judge", {"dataset": "digits"})
    plain = network
    made = judge.judge(
        run, judge.under_test(network, "three", undefended=plain), split,
        eps=EPS, steps=5, restarts=1, queries=20,
    )  # fmt: skip
    assert made.verdict != HOLDS
    run.measure(
        "few", [made.subject], split, [Attack("FGSM", fgsm, eps=EPS)], ["clean", "white-box"]
    )
    missing = worst_cases(run, "few", made.subject, split, eps=EPS)
    assert missing == "AutoAttack needs 4 classes, the network has 3"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "nets.py"}, "network: must be FILE.py:FUNCTION or MODULE:FUNCTION"),
        ({"network": "no.such:plain"}, "network: there is no module no.such"),
        ({"network": "nowhere.py:plain"}, "network: there is no file nowhere.py"),
        ({"function": "nothing"}, "nets.py has no function 'nothing'"),
        ({"function": "failing"}, "nets.py:failing raised RuntimeError: no weights here"),
        ({"function": "number"}, "nets.py:number must return an nn.Module, got int"),
        ({"function": "empty"}, "nets.py:empty returns a network without parameters"),
        ({"function": "three"}, "network: must give 10 logits an image"),
        ({"function": "unknown"}, "logits that are no finite numbers"),
        ({"function": "plain", "size": 28}, "fails on images of 1×28×28"),
        ({"function": "plain", "eps": 0.0}, "eps"),
        ({"function": "plain", "eps": 8.0}, "eps"),
        ({"function": "plain", "images": 0}, "images"),
        ({"function": "plain", "steps": 0}, "steps"),
        ({"function": "plain", "std": [0.0]}, "std: must be above 0"),
        ({"function": "plain", "mean": [0.1, 0.2]}, "mean: must be one number or 1"),
        ({"function": "plain", "dataset": "digit"}, "dataset"),
        ({"function": "plain", "dataset": "folder:/nowhere"}, "^dataset .*no folder /nowhere"),
        ({"function": "plain", "images": 5000}, "images: must be at most 359, all test images"),
        ({"function": "plain", "undefended": "x"}, "undefended: must be FILE.py:FUNCTION"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_anything_is_attacked(
    folder, tmp_path, monkeypatch, changes, message
):
    def never(*_arguments, **_options):
        raise AssertionError("something was attacked")

    for module in (evaluation, worst_case):
        monkeypatch.setattr(module, "craft", never)
    settings = {"dataset": "digits", "network": f"{folder}/nets.py:{changes.pop('function', '')}"}
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        judge.report(tmp_path, **(settings | QUICK | changes))
    assert not any(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_attacked(folder, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match="out: cannot write to .*file"):
        judged(folder, "plain", tmp_path / "file")


def test_a_forgotten_normalisation_is_told(folder, tmp_path):
    with pytest.raises(ValueError, match=r"mean 0\.5, std 0\.5"):
        judged(folder, "shifted", tmp_path)
    judgement = judged(folder, "shifted", tmp_path, mean=[0.5], std=[0.5], undefended="")
    assert accuracy(judgement, attack="none") > 0.8


def test_the_command_writes_a_report(folder, tmp_path, capsys):
    words = ["judge", f"{folder}/nets.py:masked", "--undefended", f"{folder}/nets.py:plain"]
    words += ["--dataset", "digits", "--eps", "1/10", "--size", "16", "--images", "200"]
    words += ["--steps", "10", "--restarts", "2", "--queries", "50", "--out", str(tmp_path)]
    assert main(words) == 0
    told = json.loads((tmp_path / "report.json").read_text())
    page = (tmp_path / "report.html").read_text()
    assert told["verdict"] == FAILS
    assert told["worst_case"]["images"] == 200
    assert told["verdict"] in page
    assert "<svg" in page
    assert f"{100 * told['worst_case']['accuracy']:.1f} %" in capsys.readouterr().out
    assert main([*words[:2], "--dataset", "digits", "--eps", "8"]) == 2
    assert "eps" in capsys.readouterr().err


def test_eps_may_be_a_fraction_and_nothing_else(folder, capsys):
    with pytest.raises(SystemExit):
        main(["judge", f"{folder}/nets.py:plain", "--dataset", "digits", "--eps", "8/0"])
    assert "must be a number or a fraction" in capsys.readouterr().err
