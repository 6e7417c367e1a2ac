"""From networks to outcomes: each protocol shows the images that its name says."""

import pytest
import torch
from toys import Fixed, Surer

from advlib import cache, predictions
from advlib.attacks import Attack, craft, fgsm, jsma, losses, pgd
from advlib.data import Split, pixels
from advlib.evaluation import Subject, evaluate
from advlib.networks import build
from advlib.predictions import correct

PGD = Attack("PGD", pgd, eps=0.3, step=0.05, steps=10)
WEAK = Attack("PGD", pgd, eps=0.05, step=0.01, steps=10, random_start=False)


def first(split, count):
    return Split(*(part[:count] for part in split))


def by_protocol(outcomes):
    return {(o.attack.name if o.attack else "none", o.protocol): o.right for o in outcomes}


def test_each_protocol_attacks_whom_it_says(digits, shallow):
    """The network under test answers 0 whatever it is shown: only the images' source can matter."""
    split = first(digits.test, 50)
    stranger = build("shallow_cnn", size=16, seed=5)
    blind = Fixed([[1.0] + [0.0] * 9] * 256).eval()
    shown = []
    blind.register_forward_pre_hook(lambda model, inputs: shown.append(inputs[0].clone()))
    subject = Subject(
        blind, "blind", undefended=shallow, stranger=stranger, untricked=shallow, seed=3
    )
    protocols = ["clean", "noise", "transfer", "static", "adaptive"]
    with cache.off():  # which takes no network with a hook
        outcomes = evaluate([subject], split, [PGD], protocols)
    assert [o.protocol for o in outcomes] == protocols
    assert all(torch.equal(o.right, split.labels == 0) for o in outcomes)
    clean, noise, transfer, static, adaptive = shown
    assert torch.equal(clean, pixels(split.images))
    inside = (clean > 0.31) & (clean < 0.69)
    assert set((noise - clean)[inside].abs().mul(100).round().tolist()) <= {30.0}
    assert torch.equal(transfer, craft(stranger, split, PGD, seed=3).images)
    assert torch.equal(static, craft(shallow, split, PGD, seed=3).images)
    assert torch.equal(adaptive, static)


def test_a_second_evaluation_asks_no_network(digits, shallow, monkeypatch):
    split, subject = first(digits.test, 20), Subject(shallow, "shallow_cnn", undefended=shallow)
    protocols = ["clean", "noise", "static", "white-box"]
    once = list(evaluate([subject], split, [PGD], protocols))
    monkeypatch.setattr(predictions, "logits", None)
    again = list(evaluate([subject], split, [PGD], protocols))
    assert all(a.right.equal(b.right) for a, b in zip(once, again, strict=True))


def test_images_that_nobody_else_is_shown_are_not_kept(digits, shallow):
    split, subject = first(digits.test, 20), Subject(shallow, "shallow_cnn", undefended=shallow)
    attack = PGD.but(steps=7)  # that no other test has crafted with
    before = kept()
    evaluate([subject], split, [attack], ["white-box"])
    assert kept() == before
    evaluate([subject], split, [attack], ["static"])
    assert kept() == before + 1


def test_large_images_are_attacked_by_as_many_as_crafting_takes():
    """The batch decides the random starts, so that it must be the same however it is asked for."""
    network, images = build("shallow_cnn", size=512).eval(), torch.zeros(14, 1, 512, 512)
    split, attack = Split(images, torch.zeros(14, dtype=torch.int64)), PGD.but(steps=1)
    sizes = []
    network.register_forward_pre_hook(lambda model, inputs: sizes.append(len(inputs[0])))
    with cache.off():  # which takes no network with a hook
        evaluate([Subject(network, "shallow_cnn")], split, [attack], ["white-box"])
        found, sizes[:] = sizes[:], []
        craft(network, split, attack, stop_when_wrong=True)
    assert found == [*sizes, 14]  # and all of them when it is asked what it says
    assert max(sizes) == 11


def kept():
    """How many results of crafting are on disk."""
    return len([*cache.root().glob("craft/*.safetensors")])


def test_white_box_attacks_the_network_itself(digits, shallow):
    split = first(digits.test, 50)
    subject = Subject(shallow, "shallow_cnn", undefended=build("shallow_cnn", size=16))
    found = by_protocol(evaluate([subject], split, [PGD], ["static", "white-box"], seed=0))
    assert found["PGD", "white-box"].float().mean() < 0.2
    assert found["PGD", "static"].float().mean() > 0.3


def test_an_early_stop_gives_the_plain_answer(digits, shallow):
    split = first(digits.test, 100)
    (outcome,) = evaluate([Subject(shallow, "shallow_cnn")], split, [WEAK], ["white-box"])
    plain = correct(shallow, craft(shallow, split, WEAK))
    assert 0.2 < plain.float().mean() < 0.95  # else the comparison says nothing
    assert not (outcome.right & ~plain).any()
    assert (outcome.right != plain).sum() <= 1


@pytest.mark.parametrize("gradient", ["float32", "clipped"])
def test_a_gradient_that_vanishes_leaves_a_sure_network_unharmed(digits, shallow, gradient):
    split = first(digits.test, 50)
    attack = Attack("FGSM", fgsm, eps=0.2)
    subject = Subject(Surer(shallow, 1e6), "surer")
    (clean,) = evaluate([subject], split, protocols=["clean"])
    (exact,) = evaluate([subject], split, [attack], ["white-box"])
    (blind,) = evaluate([subject], split, [attack], ["white-box"], gradient=gradient)
    assert torch.equal(blind.right, clean.right)
    assert exact.right.float().mean() < 0.3
    assert (exact.gradient, blind.gradient, clean.gradient) == ("exact", gradient, "none")


def test_outcomes_say_whose_they_are(digits, shallow):
    split = first(digits.test, 10)
    subject = Subject(
        shallow, "shallow_cnn", defense="none", seed=4, undefended=shallow, columns={"share": 0.1}
    )
    attacks = [Attack("fgsm", fgsm, eps=0.1), Attack("jsma", jsma, gamma=0.02)]
    outcomes = evaluate([subject], split, attacks, ["clean", "static", "white-box"])
    assert [(o.columns["attack"], o.columns["protocol"], o.columns["eps"]) for o in outcomes] == [
        ("none", "clean", None), ("fgsm", "static", 0.1), ("fgsm", "white-box", 0.1),
        ("jsma", "static", None), ("jsma", "white-box", None),
    ]  # fmt: skip
    assert {(o.columns["model"], o.columns["seed"], o.columns["share"]) for o in outcomes} == {
        ("shallow_cnn", 4, 0.1)
    }
    assert all(o.right.dtype == torch.bool and len(o.right) == 10 for o in outcomes)


def test_the_seed_is_the_subject_s_own_unless_it_is_given(digits, shallow):
    split = first(digits.test, 30)
    one_step = Attack("PGD", pgd, eps=0.3, step=0.1, steps=1)
    subjects = [Subject(shallow, "a", seed=seed, undefended=shallow) for seed in (1, 2)]
    images = [craft(shallow, split, one_step, seed=seed).images for seed in (1, 2)]
    assert not torch.equal(*images)
    own = evaluate(subjects, split, [one_step], ["static"])
    given = evaluate(subjects, split, [one_step], ["static"], seed=1)
    expected = [correct(shallow, Split(made, split.labels)) for made in images]
    assert all(torch.equal(o.right, e) for o, e in zip(own, expected, strict=True))
    assert all(torch.equal(o.right, expected[0]) for o in given)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"protocols": ["whitebox"]}, "^protocol: .*white-box"),
        ({"protocols": ["static"]}, "^undefended: static needs it"),
        ({"protocols": ["transfer"]}, "^stranger: transfer needs it"),
        ({"protocols": ["adaptive"]}, "^untricked: adaptive needs it"),
        ({"gradient": "flaot32", "protocols": ["white-box"]}, "^gradient: .*float32"),
        ({"gradient": "float32", "protocols": ["white-box"]}, "^gradient: jsma climbs no loss"),
        ({"protocols": ["noise"]}, "^attacks: noise takes their eps, and jsma has none"),
    ],
)
def test_what_cannot_be_evaluated_is_named_before_anything_runs(shallow, options, says):
    nothing = Split(torch.zeros(0), torch.zeros(0))  # would fail if it were looked at
    with pytest.raises(ValueError, match=says):
        evaluate([Subject(shallow, "a")], nothing, [Attack("jsma", jsma)], **options)


@pytest.mark.parametrize("more", [{}, {"targeted": True}, {"loss": losses.margin}])
def test_fgsm_takes_one_gradient_for_all_radii(digits, shallow, monkeypatch, more):
    split = digits.test.first(20)
    assert {0, 255} <= set(split.images.flatten().tolist())  # where a pixel cannot go on
    start, radii = pixels(split.images), (0.0, 0.003, 0.1, torch.linspace(0, 1, 20))
    wanted = [fgsm(shallow, start, split.labels, eps=eps, **more) for eps in radii]
    craft(shallow, split, Attack("FGSM", fgsm, eps=0.05, **more), batch_size=20)
    monkeypatch.setattr(torch.autograd, "grad", None)
    for eps, images in zip(radii, wanted, strict=True):
        attack = Attack("FGSM", fgsm, eps=eps, **more)
        for seed, stop in ((0, False), (1, True)):
            made = craft(shallow, split, attack, seed=seed, stop_when_wrong=stop, batch_size=20)
            assert torch.equal(made.images, images)
    with pytest.raises(ValueError, match=r"^eps: must lie in \[0, 1\]"):
        craft(shallow, split, Attack("FGSM", fgsm, eps=1.5, **more))
