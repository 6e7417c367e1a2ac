"""The gradient attacks against closed forms, their contract, and foolbox."""

from __future__ import annotations

import functools
import inspect
import warnings

import foolbox
import pytest
import torch
from torch import Tensor, nn
from toys import (
    Faulty,
    InDouble,
    Surer,
    guesses,
    linear,
    rand,
    seeded,
    small_cnn,
    trained_cnn,
    untouched,
)

from advlib import networks
from advlib.attacks import Attack, bpda, fgsm, gradient, ifgsm, losses, pgd
from advlib.attacks.attack import declare, frozen
from advlib.attacks.named import NAMED, settings

STEPS = {"step": 0.06, "steps": 10}  # cross a ball of eps 0.3 from any start in it
ATTACKS = {
    "fgsm": fgsm,
    "ifgsm": functools.partial(ifgsm, **STEPS),
    "pgd": functools.partial(pgd, **STEPS),
    "pgd from the image": functools.partial(pgd, random_start=False, **STEPS),
    "pgd, restarts": functools.partial(pgd, restarts=3, **STEPS),
    "pgd, stopping": functools.partial(pgd, restarts=2, stop_when_wrong=True, **STEPS),
}
# No random start, so the result depends on nothing but the image.
STILL = {name: ATTACKS[name] for name in ("fgsm", "ifgsm", "pgd from the image")}

every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
every_still_attack = pytest.mark.parametrize("attack", STILL.values(), ids=STILL)
every_count = pytest.mark.parametrize("count", [1, 3, 8])


def two_classes() -> tuple[nn.Module, Tensor]:
    """A linear two-class model on 2x5x5 pixels and w, the gradient of its margin for class 1."""
    weight = rand(2, 50, low=-1, high=1) / 10
    return linear(weight), weight[1] - weight[0]


def one_patch_a_class() -> tuple[nn.Module, Tensor]:
    """A linear five-class model on 2x5x5 pixels whose classes read ten pixels each, and its weight.

    No pixel serves two classes, so one perturbation is best against every wrong class at once.
    """
    weight = torch.block_diag(*rand(5, 1, 10, low=0.02, high=0.2))
    weight *= rand(5, 50, seed=1).sub(0.5).sign()
    return linear(weight), weight


def distance(first: Tensor, second: Tensor) -> Tensor:
    """L-infinity distance of each pair of images [N]."""
    return (first - second).abs().amax((1, 2, 3))


# Closed forms


@every_count
@every_attack
def test_two_classes_best_perturbation_is_found(attack, count):
    model, w = two_classes()
    images, eps = rand(count, 2, 5, 5, seed=2), 0.25
    labels = torch.arange(count) % 2
    away = torch.where(labels == 1, -1.0, 1.0).view(-1, 1, 1, 1) * w.sign().view(1, 2, 5, 5)
    best = (images + eps * away).clamp(0, 1)
    if "stop_when_wrong" in getattr(attack, "keywords", {}):
        # It may stop short of the best, but only where it has won.
        found = attack(model, images, labels, eps=eps, stop_when_wrong=True)
        assert torch.equal(guesses(model, found) == labels, guesses(model, best) == labels)
    else:
        torch.testing.assert_close(attack(model, images, labels, eps=eps), best, atol=1e-6, rtol=0)


@every_count
@pytest.mark.parametrize("name", ["fgsm", "ifgsm", "pgd", "pgd from the image"])
def test_many_classes_best_perturbation_is_found(name, count):
    model, weight = one_patch_a_class()
    images, labels, eps = rand(count, 2, 5, 5, seed=3), torch.arange(count) % 5, 0.25
    # Up on the pixels of every other class, down on those of the true one.
    up = weight.sum(0).sign() * torch.where(weight[labels] != 0, -1.0, 1.0)
    best = (images + eps * up.view_as(images)).clamp(0, 1)
    found = ATTACKS[name](model, images, labels, eps=eps)
    torch.testing.assert_close(found, best, atol=1e-6, rtol=0)


@every_count
@every_attack
def test_smallest_eps_that_turns_an_image_is_margin_over_the_l1_norm(attack, count):
    model, w = two_classes()
    images = rand(count, 2, 5, 5, low=0.4, high=0.6, seed=4)  # the box is out of reach
    labels = guesses(model, images)
    with torch.no_grad():
        margin = model(images).diff(dim=1).abs().squeeze(1)
    smallest = margin / w.abs().sum()
    assert 1e-3 < smallest.min() <= smallest.max() < 0.29
    held = attack(model, images, labels, eps=0.99 * smallest)
    turned = attack(model, images, labels, eps=1.01 * smallest)
    assert torch.equal(guesses(model, held), labels)
    assert torch.equal(guesses(model, turned), 1 - labels)


@every_count
@every_attack
def test_targeted_reaches_the_target(attack, count):
    model, _ = one_patch_a_class()
    images = rand(count, 2, 5, 5, low=0.4, high=0.6, seed=5)
    targets = (guesses(model, images) + 1 + torch.arange(count) % 4) % 5
    found = attack(model, images, targets, eps=0.3, targeted=True)
    assert torch.equal(guesses(model, found), targets)


@every_still_attack
def test_targeted_moves_the_other_way(attack):
    model, w = two_classes()
    images, labels = rand(4, 2, 5, 5, low=0.4, high=0.6), torch.ones(4, dtype=torch.int64)
    found = attack(model, images, labels, eps=0.1, targeted=True)
    best = images + 0.1 * w.sign().view(2, 5, 5)
    torch.testing.assert_close(found, best, atol=1e-6, rtol=0)


# The contract: what every attack keeps


@pytest.mark.parametrize("eps", [0.003, 0.1, 0.7, 1.0])
@every_attack
def test_result_lies_in_the_box_and_in_the_ball(attack, eps):
    images = rand(6, 2, 8, 8, low=-0.3, high=1.3).clamp(0, 1)  # many pixels on the bounds
    labels = torch.arange(6) % 4
    found = attack(small_cnn(), images, labels, eps=eps)
    assert found.shape == images.shape
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert found.min() >= 0
    assert found.max() <= 1
    assert (distance(found, images) <= eps + 1e-6).all()
    assert (distance(found, images) > 0).any()


@every_attack
def test_eps_zero_is_the_identity(attack):
    images, labels = rand(5, 2, 8, 8), torch.arange(5) % 4
    found = attack(small_cnn(), images, labels, eps=0)
    assert torch.equal(found, images)
    assert found.data_ptr() != images.data_ptr()


@pytest.mark.parametrize("stop", [False, True])
@every_still_attack
def test_order_of_the_batch_does_not_matter(attack, stop):
    if stop and "stop_when_wrong" in inspect.signature(attack).parameters:
        attack = functools.partial(attack, stop_when_wrong=True)
    model, images, labels = small_cnn(), rand(9, 2, 8, 8), torch.arange(9) % 4
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    found = attack(model, images, labels, eps=0.05)
    assert torch.equal(attack(model, images[order], labels[order], eps=0.05), found[order])


@every_still_attack
def test_one_eps_an_image_is_the_same_as_one_by_one(attack):
    model, images, labels = small_cnn(), rand(5, 2, 8, 8), torch.arange(5) % 4
    eps = torch.tensor([0.0, 0.01, 0.05, 0.2, 1.0])
    together = attack(model, images, labels, eps=eps)
    alone = [attack(model, images[[i]], labels[[i]], eps=eps[i].item()) for i in range(len(images))]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-6, rtol=0)
    assert distance(together, images).gt(0).tolist() == [False, True, True, True, True]


def test_one_eps_an_image_bounds_the_random_start_too():
    images, eps = rand(4, 2, 8, 8), torch.tensor([0.0, 0.02, 0.1, 0.5])
    found = pgd(small_cnn(), images, torch.arange(4), eps=eps, step=1e-4, steps=1)
    moved = distance(found, images)
    assert (moved <= eps + 1e-6).all()
    assert (moved >= 0.7 * eps).all()  # the furthest of 128 pixels, drawn uniformly


@pytest.mark.parametrize("faulty", [False, True])
@every_attack
def test_model_and_inputs_are_left_as_they_were(attack, faulty):
    network = networks.build("shallow_cnn", classes=4, channels=2, size=8)
    model = Faulty(network).eval() if faulty else network
    images, labels = rand(3, 2, 8, 8), torch.arange(3)
    with untouched(model, images, labels):
        if faulty and attack is not fgsm:
            with pytest.raises(RuntimeError, match="out of memory"):
                attack(model, images, labels, eps=0.1)
        else:
            attack(model, images, labels, eps=0.1)


def test_fgsm_puts_the_flags_back_when_the_model_raises():
    model = Faulty(networks.build("shallow_cnn", classes=4, channels=2, size=8)).eval()
    model.calls = 1
    with pytest.raises(RuntimeError, match="out of memory"):
        fgsm(model, rand(3, 2, 8, 8), torch.arange(3), eps=0.1)
    assert all(p.requires_grad for p in model.parameters())


def test_parameters_ask_for_no_gradient_during_an_attack():
    model = networks.build("shallow_cnn", classes=4, channels=2, size=8)
    asked = []
    model.register_forward_pre_hook(
        lambda module, _: asked.extend(p.requires_grad for p in module.parameters())
    )
    fgsm(model, rand(1, 2, 8, 8), torch.tensor([0]), eps=0.1)
    assert len(asked) == len(list(model.parameters()))
    assert not any(asked)
    with torch.no_grad(), frozen(model):
        assert torch.is_grad_enabled()


@every_still_attack
def test_works_where_gradients_are_off(attack):
    model, images, labels = small_cnn(), rand(3, 2, 8, 8), torch.arange(3)
    expected = attack(model, images, labels, eps=0.1)
    with torch.no_grad():
        assert torch.equal(attack(model, images, labels, eps=0.1), expected)
        assert not torch.is_grad_enabled()


@every_attack
def test_empty_batch(attack):
    images, labels = torch.empty(0, 2, 8, 8), torch.empty(0, dtype=torch.int64)
    found = attack(small_cnn(), images, labels, eps=0.1)
    assert found.shape == (0, 2, 8, 8)
    assert found.dtype == torch.float32


# Random starts, restarts, and stopping early


def test_same_generator_seed_same_bits():
    model, images, labels = small_cnn(), rand(4, 2, 8, 8), torch.arange(4)

    def attack(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return pgd(model, images, labels, eps=0.1, step=0.01, steps=3, restarts=2,
                   generator=generator)  # fmt: skip

    assert torch.equal(attack(0), attack(0))
    assert not torch.equal(attack(0), attack(1))


def test_random_start_without_a_generator_follows_the_global_seed():
    model, images, labels = small_cnn(), rand(4, 2, 8, 8), torch.arange(4)
    found = []
    for _ in range(2):
        torch.manual_seed(7)
        found.append(pgd(model, images, labels, eps=0.1, step=0.01, steps=3))
    assert torch.equal(*found)


@pytest.mark.parametrize("stop", [False, True])
def test_restarts_never_make_the_attack_weaker(stop):
    model, images, labels = trained_cnn()

    def turned(restarts: int) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        found = pgd(model, images, labels, eps=0.1, step=0.05, steps=4, restarts=restarts,
                    stop_when_wrong=stop, generator=generator)  # fmt: skip
        return guesses(model, found) != labels

    once, often = turned(1), turned(5)
    assert often[once].all()
    assert not once.all()
    assert often.sum() > once.sum()  # and here they do make it stronger


def test_restarts_attack_only_what_still_resists():
    """A second run keeps every image that the first one turned, bit for bit."""
    model, images, labels = trained_cnn()
    settings = {"eps": 0.1, "step": 0.05, "steps": 4}
    once = pgd(model, images, labels, generator=torch.Generator().manual_seed(0), **settings)
    twice = pgd(
        model, images, labels, restarts=2, generator=torch.Generator().manual_seed(0), **settings
    )
    turned = guesses(model, once) != labels
    assert turned.any()
    assert torch.equal(twice[turned], once[turned])


def test_every_run_starts_afresh():
    """Without a random start all runs are one and the same."""
    model, images = small_cnn(), rand(4, 2, 8, 8)
    settings = {"eps": 0.3, "step": 1e-4, "steps": 2, "random_start": False}
    once, often = (
        pgd(model, images, guesses(model, images), restarts=restarts, **settings)
        for restarts in (1, 3)
    )
    assert torch.equal(often, once)


class Reshaping(nn.Module):
    """Flattens by view(N, -1), which torch refuses for N = 0."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.view(len(images), -1))


@pytest.mark.parametrize("stop", [False, True])
def test_the_model_is_never_given_an_empty_batch(stop):
    model, images = two_classes()[0], rand(3, 2, 5, 5)
    model = Reshaping(model).eval()
    labels = guesses(model, images)
    found = pgd(model, images, labels, eps=1.0, step=1.0, steps=3, restarts=3, stop_when_wrong=stop)
    assert torch.equal(guesses(model, found), 1 - labels)
    assert len(pgd(model, images[:0], labels[:0], eps=1.0, step=1.0, steps=2, restarts=2)) == 0


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("steps", [1, 6, 11])
def test_stopping_turns_exactly_the_images_that_any_iterate_turns(steps, targeted):
    """The plain attack's iterates are its own results after 0, 1, ... steps.

    Stopping keeps the first iterate that succeeds. So it succeeds wherever the plain attack's
    last iterate does, and also where the plain attack succeeded on the way and lost it again.
    """
    model, images, labels = InDouble(trained_cnn_copy()), *trained_cnn()[1:]
    goals = (labels + 1) % 10 if targeted else labels
    settings = {"eps": 0.12, "step": 0.05, "targeted": targeted}

    def success(found: Tensor) -> Tensor:
        return (guesses(model, found) == goals) == targeted

    iterates = [images]
    iterates += [ifgsm(model, images, goals, steps=n, **settings) for n in range(1, steps + 1)]
    successes = torch.stack([success(iterate) for iterate in iterates])
    stopped = ifgsm(model, images, goals, steps=steps, stop_when_wrong=True, **settings)

    assert torch.equal(success(stopped), successes.any(0))
    first = torch.where(successes.any(0), successes.int().argmax(0), steps)
    expected = torch.stack(iterates)[first, torch.arange(len(images))]
    torch.testing.assert_close(stopped, expected, atol=1e-6, rtol=0)
    assert 0 < success(stopped).sum() < len(images)


def test_an_image_that_a_step_leaves_where_it_is_is_not_asked_for_again():
    model, images, labels = trained_cnn()
    model, seen = Surer(model, 20.0), []
    model.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    settings = {"eps": 0.1, "step": 0.025, "loss": losses.float32_cross_entropy}
    attack = functools.partial(ifgsm, model, images, labels, stop_when_wrong=True, **settings)
    moves = attack(steps=1).ne(images).flatten(1).any(1)
    assert 0 < moves.sum() < len(images)
    seen.clear()
    found = attack(steps=4)
    assert seen[:2] == [len(images), moves.sum()]
    assert torch.equal(found[~moves], images[~moves])


@pytest.mark.parametrize("steps", [59, 60])
def test_a_path_that_goes_in_a_circle_ends_where_it_would_without_being_walked(steps, monkeypatch):
    model, images, labels = InDouble(trained_cnn_copy()), *trained_cnn()[1:]
    seen = []
    model.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    attack = functools.partial(ifgsm, model, images, labels, eps=0.02, step=0.01, steps=steps)
    walked, passes = attack(), {}
    for circle in (8, 1000):
        monkeypatch.setattr(gradient, "CIRCLE", circle)
        seen.clear()
        found = attack(stop_when_wrong=True)
        passes[circle] = sum(seen)
        resists = guesses(model, found) == labels
        assert torch.equal(found[resists], walked[resists])
    assert passes[8] < 0.8 * passes[1000]


def test_stopping_gives_the_same_robust_accuracy():
    model, images, labels = trained_cnn()
    for eps in (0.05, 0.1):
        settings = {"eps": eps, "step": eps / 4, "steps": 10}
        plain, stopped = (
            guesses(model, ifgsm(model, images, labels, stop_when_wrong=stop, **settings))
            for stop in (False, True)
        )
        robust = plain.eq(labels).sum() - stopped.eq(labels).sum()
        assert 0 <= robust <= 1  # of 200: one image may have come back at the last step
        assert 0 < stopped.eq(labels).sum() < len(labels)


def trained_cnn_copy() -> nn.Module:
    model = networks.build("shallow_cnn", size=12, dropout=0.0)
    model.load_state_dict(trained_cnn()[0].state_dict())
    return model


# Refusals

IMAGES, LABELS = torch.full((3, 2, 8, 8), 0.5), torch.tensor([0, 1, 2])
BAD_INPUTS = {
    "below the box": ("images", IMAGES - 0.51, LABELS),
    "above the box": ("images", IMAGES + 0.51, LABELS),
    "normalised": ("images", (IMAGES - 0.1307) / 0.3081, LABELS),
    "not a number": ("images", IMAGES * float("nan"), LABELS),
    "bytes": ("images", IMAGES.to(torch.uint8), LABELS),
    "double": ("images", IMAGES.double(), LABELS),
    "no batch": ("images", IMAGES[0], LABELS),
    "flat": ("images", IMAGES.flatten(1), LABELS),
    "int32 labels": ("labels", IMAGES, LABELS.int()),
    "soft labels": ("labels", IMAGES, torch.eye(3)),
    "one-hot labels": ("labels", IMAGES, torch.eye(3, dtype=torch.int64)),
    "too few labels": ("labels", IMAGES, LABELS[:2]),
}
BAD_EPS = {
    "of 255": 3,
    "negative": -0.1,
    "nan": float("nan"),
    "too few": torch.tensor([0.1, 0.1]),
    "a column": torch.full((3, 1), 0.1),
    "one too large": torch.tensor([0.1, 0.1, 1.1]),
    "one nan": torch.tensor([0.1, float("nan"), 0.1]),
}
BAD_SETTINGS = [
    *((attack, "step", step) for attack in (ifgsm, pgd) for step in (0, -0.01, 1.1, float("nan"))),
    *((attack, "steps", steps) for attack in (ifgsm, pgd) for steps in (0, -1, True, 1.5, 10.0)),
    *((pgd, "restarts", restarts) for restarts in (0, -1, True, 1.5, 10.0)),
]


@pytest.mark.parametrize(("name", "images", "labels"), BAD_INPUTS.values(), ids=BAD_INPUTS)
@every_attack
def test_bad_inputs_are_refused(attack, name, images, labels):
    with pytest.raises(ValueError, match=rf"^{name}: "):
        attack(small_cnn(), images, labels, eps=0.1)


@pytest.mark.parametrize("attack_set", NAMED)
def test_the_attacks_that_paper_001_names_can_be_called(attack_set):
    found = NAMED[attack_set]
    assert len({attack.name for attack in found}) == len(found)
    expected = {"cifar10": {0.03, 0.1}, "fashion_mnist": {0.3}, "imagenet": {0.03, 0.1}}
    expected |= {"empir": {0.1}, "digits": {0.15}}
    assert {attack.eps for attack in found} == expected[attack_set]
    assert {attack.settings.get("restarts", 1) for attack in found} <= {1, 3, 11}


def test_the_steps_of_named_attacks_can_be_cut():
    few, whole = settings("cifar10", 20), settings("cifar10")
    assert whole == NAMED["cifar10"]
    for cut, attack in zip(few, whole, strict=True):
        steps = {"steps": 20} if attack.has("steps") else {}
        assert cut.name == attack.name
        assert dict(cut.settings) == {**attack.settings, **steps}
    with pytest.raises(ValueError, match=r"^attack_set: "):
        settings("nosuch")


# An attack as a value


def test_an_attack_knows_its_budget_and_does_what_its_function_does():
    model, images, labels = trained_cnn()
    attack = Attack("PGD", pgd, eps=0.1, step=0.02, steps=4)
    assert (attack.name, attack.norm, attack.eps, attack.random) == ("PGD", "Linf", 0.1, True)
    assert attack.settings["restarts"] == 1  # the defaults are told, too
    found = attack(model, images[:8], labels[:8], generator=seeded())
    expected = pgd(model, images[:8], labels[:8], eps=0.1, step=0.02, steps=4, generator=seeded())
    assert torch.equal(found, expected)
    other = attack.but(name="PGD-2", eps=0.2)
    assert (other.name, other.eps, other.settings["step"]) == ("PGD-2", 0.2, 0.02)
    assert attack.eps == 0.1


def test_bpda_s_random_starts_follow_the_generator():
    """Its settings once hid that it takes one; its images then differed from run to run."""
    model, images, labels = trained_cnn()
    attack = Attack("BPDA", bpda, eps=0.1, step=0.02, steps=1, through=[])
    one, again, other = (
        attack(model, images[:8], labels[:8], generator=seeded(n)) for n in (1, 1, 2)
    )
    assert attack.random
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"eps": 0.1, "step": 0.1, "setps": 3}, "^PGD, setting: .*did you mean 'steps'"),
        ({"eps": 0.1, "step": 0.1}, "^steps: PGD needs it"),
    ],
)
def test_an_attack_with_impossible_settings_is_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        Attack("PGD", pgd, **settings)


def test_a_function_that_hides_its_settings_is_no_attack():
    def hiding(model, images, labels, **options):
        return images

    with pytest.raises(TypeError, match="settings by name"):
        declare("mine", 1, norm="Linf")(hiding)
    with pytest.raises(TypeError, match="declare its function"):
        Attack("mine", hiding)


def test_a_model_that_is_certain_is_attacked_all_the_same():
    """Its cross-entropy has no gradient left in float32: the probabilities are exactly 0 and 1."""
    model, images, labels = trained_cnn()
    sure = Surer(model, 100.0)
    loss = nn.functional.cross_entropy(sure(images), labels, reduction="none")
    assert (loss == 0).float().mean() > 0.5
    moved = (fgsm(sure, images, labels, eps=0.1) - images).flatten(1).abs().amax(1)
    assert moved.min() > 0
    left = [
        guesses(m, pgd(m, images, labels, eps=0.1, step=0.02, steps=10, generator=seeded()))
        .eq(labels).float().mean()
        for m in (model, sure)
    ]  # fmt: skip
    assert left[1] < left[0] + 0.1


@every_attack
def test_training_mode_is_refused_and_kept(attack):
    model = small_cnn().train()
    with pytest.raises(ValueError, match=r"^model: .*training mode"):
        attack(model, IMAGES, LABELS, eps=0.1)
    assert model.training


@pytest.mark.parametrize("eps", BAD_EPS.values(), ids=BAD_EPS)
@every_attack
def test_bad_eps_is_refused(attack, eps):
    with pytest.raises(ValueError, match=r"^eps: "):
        attack(small_cnn(), IMAGES, LABELS, eps=eps)


@pytest.mark.parametrize(("attack", "name", "value"), BAD_SETTINGS)
def test_bad_settings_are_refused(attack, name, value):
    settings = {"step": 0.01, "steps": 2, name: value}
    with pytest.raises(ValueError, match=rf"^{name}: "):
        attack(small_cnn(), IMAGES, LABELS, eps=0.1, **settings)


# Agreement with foolbox


@pytest.mark.parametrize("eps", [0.03, 0.06, 0.1, 0.2])
def test_agrees_with_foolbox(eps):
    model, images, labels = trained_cnn()
    step, steps = eps / 4, 10
    reference = foolbox.attacks.LinfPGD(
        rel_stepsize=None, abs_stepsize=step, steps=steps, random_start=False
    )
    pairs = [
        (fgsm(model, images, labels, eps=eps), foolbox.attacks.FGSM(random_start=False)),
        (ifgsm(model, images, labels, eps=eps, step=step, steps=steps), reference),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # foolbox's own
        bounded = foolbox.PyTorchModel(copy := trained_cnn_copy(), bounds=(0, 1), device="cpu")
        theirs = [
            peer.run(bounded, images, foolbox.criteria.Misclassification(labels), epsilon=eps)
            for _, peer in pairs
        ]
    assert not copy.training
    for (ours, _), other in zip(pairs, theirs, strict=True):
        robust, expected = (guesses(model, found).eq(labels).sum() for found in (ours, other))
        assert abs(robust - expected) <= 1
        # Not only as strong: the same images, but for pixels whose gradient is a rounding error.
        assert (ours - other).abs().gt(1e-5).float().mean() < 0.01
