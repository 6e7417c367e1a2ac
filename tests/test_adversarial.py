"""Adversarial trainings: each does what its paper says, on the digits."""

import dataclasses

import pytest
import torch
from torch import nn

from advlib import augmentation, cache, networks
from advlib.attacks import Attack, fgsm, ifgsm, pgd
from advlib.data import Split, pixels
from advlib.defenses import adversarial
from advlib.evaluation import Subject, evaluate
from advlib.predictions import correct
from advlib.training import Context, Recipe

EPS = 0.1
HOW = {"batch_size": 32, "dropout": False}


def at(share):
    dice = torch.Generator().manual_seed(0)
    return Context(share, dice, dice)


def test_mix_holds_both_kinds_of_image(digits):
    half = Split(pixels(digits.train.images).mul(0.5), digits.train.labels)
    mixed = adversarial.mix(digits.train, half)
    assert len(mixed.images) == len(mixed.labels) == 2 * len(digits.train.labels)
    assert torch.equal(mixed.images[: len(half.labels)], pixels(digits.train.images))
    assert torch.equal(mixed.images[len(half.labels) :], half.images)


def test_fresh_attacks_the_network_as_it_is_and_grows_from_nothing(digits, shallow):
    prepare = adversarial.fresh(Attack("PGD", pgd, eps=0.2, step=0.05, steps=4), warmup=0.5)
    images, labels = pixels(digits.test.images[:32]), digits.test.labels[:32]
    moved = [
        (prepare(shallow, images, labels, at(share))[0] - images).abs().max().item()
        for share in (0.0, 0.25, 0.5, 1.0)
    ]
    assert moved == pytest.approx([0.0002, 0.1, 0.2, 0.2], rel=1e-3)


def test_fresh_refuses_an_impossible_warmup():
    with pytest.raises(ValueError, match="^warmup: "):
        adversarial.fresh(Attack("FGSM", fgsm, eps=0.1), warmup=1.0)


def test_hardening_leaves_the_model_as_it_was(digits, shallow):
    before = cache.digest(shallow)
    hardened, curves = adversarial.harden(shallow, digits.train, Recipe(epochs=1))
    assert curves["epoch"].tolist() == [1]
    assert cache.digest(shallow) == before
    assert not torch.equal(hardened.network[0].weight, shallow.network[0].weight)


@pytest.mark.parametrize(
    "attack",
    [
        Attack("FGSM", fgsm, eps=EPS),
        Attack("IFGSM", ifgsm, eps=EPS, step=0.05, steps=3),
        Attack("PGD", pgd, eps=EPS, step=0.05, steps=3),
    ],
    ids=["fgsm", "ifgsm", "pgd"],
)
def test_every_gradient_attack_can_be_trained_against(digits, shallow, attack):
    prepare = adversarial.fresh(attack)
    images, labels = pixels(digits.test.images[:32]), digits.test.labels[:32]
    made, _ = prepare(shallow, images, labels, at(1.0))
    assert (made - images).abs().max().item() == pytest.approx(EPS, rel=1e-3)


@pytest.mark.parametrize(
    ("train", "recipe", "options"),
    [
        (adversarial.fast, adversarial.FAST, {"epochs": 12, "lr": 0.1}),
        (adversarial.free, adversarial.FREE, {"epochs": 5, "lr": 0.03, "replays": 4}),
        (adversarial.fine_tune, adversarial.AFT, {"epochs": 5, "lr": 0.1}),
    ],
    ids=["fast", "free", "fine_tune"],
)
def test_it_withstands_a_white_box_attack_that_the_plain_network_does_not(
    digits, shallow, train, recipe, options
):
    attack = Attack("PGD", pgd, eps=EPS, step=0.025, steps=10)
    start = shallow if train is adversarial.fine_tune else networks.build("shallow_cnn", size=16)
    recipe = dataclasses.replace(recipe, **HOW, **options)
    steps = {"steps": 4} if train is adversarial.fine_tune else {}
    hardened, _ = train(start, digits.train, recipe, eps=EPS, **steps)
    subjects = [Subject(network, "shallow_cnn") for network in (hardened, shallow)]
    robust, plain = (
        outcome.right.float().mean().item()
        for outcome in evaluate(subjects, digits.test, [attack], ["white-box"])
    )
    assert plain < 0.35
    assert robust > 0.45
    assert correct(hardened, digits.test).float().mean() > 0.85


class Watched(nn.Module):
    """Notes the images that it sees while it learns."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.seen = network, []

    def forward(self, images):
        if next(self.network.parameters()).requires_grad:  # attacks ask for no such gradient
            self.seen.append(images.detach().clone())
        return self.network(images)


@pytest.fixture
def watch(monkeypatch):
    """Trainings without the cache, of the model itself: what it saw can then be read."""
    monkeypatch.setattr(adversarial.copy, "deepcopy", lambda model: model)

    def of(train, images, recipe, **options):
        model = Watched(networks.build("shallow_cnn", size=16))
        with cache.off():
            train(model, images, dataclasses.replace(recipe, **HOW, **options), eps=EPS)
        return model.seen

    return of


def test_fast_training_sees_one_step_from_a_random_start(digits, watch):
    few = Split(pixels(digits.train.images[:32]), digits.train.labels[:32])
    few = Split(few.images * 0.4 + 0.3, few.labels)  # the box is out of reach
    (seen,) = watch(adversarial.fast, few, adversarial.FAST, epochs=1)
    moved = (seen - few.images[_order(32)]).abs()
    assert moved.max() <= EPS + 1e-6
    at_the_edge = (moved > EPS - 1e-6).float().mean().item()
    assert 0.5 < at_the_edge < 0.95  # 1.25 eps from a uniform start: five of eight get there


def test_free_training_carries_its_perturbation_on(digits, watch):
    few = Split(pixels(digits.train.images[:72]) * 0.4 + 0.3, digits.train.labels[:72])
    seen = watch(adversarial.free, few, adversarial.FREE, epochs=1, replays=3)
    assert [len(batch) for batch in seen] == [32, 32, 32, 32, 32, 32, 8, 8, 8]
    images = few.images[_order(72)].split(32)
    moved = [batch - images[number // 3] for number, batch in enumerate(seen)]
    assert not moved[0].any()
    for step in moved[1:]:
        assert step.abs().max() <= EPS + 1e-6
        assert (step.abs() > EPS - 1e-6).float().mean() > 0.2
    change = moved[3] - moved[2]  # a new batch: the old perturbation, moved by one more step
    steps = torch.stack([(change.abs() - n * EPS).abs() for n in (0, 1, 2)]).amin(0)
    assert steps.max() < 1e-5


@pytest.mark.parametrize("defense", [adversarial.fast, adversarial.fine_tune])
def test_what_the_recipe_prepares_comes_before_the_attack(digits, watch, defense):
    def grey(model, images, labels, context):
        return torch.full_like(images, 0.5), labels

    few = Split(pixels(digits.train.images[:32]), digits.train.labels[:32])
    (seen,) = watch(defense, few, adversarial.FAST, epochs=1, prepare=grey)
    assert 0 < (seen - 0.5).abs().max() <= EPS + 1e-6


def _order(count):
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))


def test_impossible_settings_are_named(digits, shallow):
    with pytest.raises(ValueError, match="^eps: "):
        adversarial.free(shallow, digits.train, eps=2)
    with pytest.raises(ValueError, match="^replays: "):
        dataclasses.replace(adversarial.FREE, replays=0)
    augmented = dataclasses.replace(adversarial.FREE, prepare=augmentation.flip_and_shift())
    with pytest.raises(ValueError, match="^prepare: is the defense's own"):
        adversarial.free(shallow, digits.train, augmented, eps=0.1)
