"""The audit: three controls, tricks that it must see through, and the edge of each rule."""

import copy

import pytest
import torch
from pretend import DEVICE, Machine, to_device
from torch import Tensor, nn
from toys import Surer, guesses

from advlib import audit as module
from advlib import cache, networks
from advlib.audit import CHECKS, audit
from advlib.cache import versioned
from advlib.data import Split, pixels
from advlib.evaluation import Outcome, Subject

EPS = {"eps": 0.1, "step": 0.02, "steps": 10, "queries": 150}
# What an attacker without a gradient runs into, whatever took it.
BLACK_BOX = {
    "accuracy left as eps grows", "transfer stronger than white-box", "Square stronger than PGD",
}  # fmt: skip


class Wrapped(nn.Module):
    """A network with something before or after it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.eval()


@versioned("test: rounded", 1)
class Rounded(Wrapped):
    """Sees pixels in quarters; the gradient is 0."""

    def forward(self, images: Tensor) -> Tensor:
        return self.model((4 * images).round() / 4)


@versioned("test: misleading", 1)
class Misleading(Wrapped):
    """The same logits, with a gradient that points the wrong way."""

    def forward(self, images: Tensor) -> Tensor:
        return self.model(2 * images.detach() - images)


@versioned("test: only at images", 1)
class OnlyAtImages(Wrapped):
    """Has a gradient only where pixels are multiples of 1/255: at the images, not on the way."""

    def forward(self, images: Tensor) -> Tensor:
        off = (255 * images - (255 * images).round()).abs().flatten(1).amax(1) > 0.01
        return self.model(torch.where(off[:, None, None, None], images.detach(), images))


@versioned("test: probabilities", 1)
class Probabilities(Wrapped):
    def forward(self, images: Tensor) -> Tensor:
        return self.model(images).softmax(1)


class Noisy(Wrapped):
    """Adds noise to each image that it sees."""

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images + 0.05 * torch.randn_like(images))


def dropping(model: nn.Module) -> nn.Module:
    """The network with one dropout left on."""
    model = copy.deepcopy(model)
    next(part for part in model.modules() if "Dropout" in type(part).__name__).train()
    return model


def verdicts(table):
    return dict(zip(table["check"], table["verdict"], strict=True))


def warned(table):
    return {check for check, verdict in verdicts(table).items() if verdict == "warn"}


def figure(table, check):
    return table.set_index("check").loc[check, "figure"]


def falls(table):
    """Accuracies by eps, in percent."""
    text = figure(table, "accuracy left as eps grows").partition(";")[0]
    pairs = (part.split(" % at ") for part in text.split(", "))
    return {float(eps): float(accuracy) for accuracy, eps in pairs}


# The three controls


def test_an_undefended_network_falls_without_a_warning(digits, shallow, hardened):
    subject = Subject(shallow, "cnn", stranger=hardened)
    table = audit(subject, digits.test, **EPS | {"eps": 0.2, "step": 0.04}, autoattacked=40)
    assert set(table["verdict"]) == {"pass"}
    left = falls(table)
    assert left[0] > 80
    assert left[0.2] < 2
    assert list(table["check"]) == list(CHECKS)


def test_a_network_trained_on_pgd_images_resists_without_a_warning(digits, shallow, hardened):
    subject = Subject(hardened, "cnn", defense="PGD", undefended=shallow)
    table = audit(subject, digits.test, **EPS)
    assert {c for c, v in verdicts(table).items() if v != "pass"} == {
        "AutoAttack stronger than PGD"
    }
    assert figure(table, "AutoAttack stronger than PGD") == "no images were chosen for it"
    assert falls(table)[0] > 85
    assert falls(table)[0.1] > 45  # the undefended one has about 25


def test_large_logits_fool_a_naive_attacker_and_are_caught(digits, shallow):
    subject = Subject(Surer(shallow, 1000.0), "surer", undefended=shallow)
    few = digits.test.first(100)
    exact = audit(subject, few, **EPS)
    assert warned(exact) == {"zero gradients"}
    assert falls(exact)[0.1] < 40
    for gradient in ("float32", "clipped"):
        naive = audit(subject, few, **EPS, gradient=gradient)
        assert falls(naive)[0.1] > 70  # what would be reported
        assert warned(naive) >= BLACK_BOX | {"zero gradients"}


# Other tricks


@pytest.mark.parametrize(
    ("masked", "more"),
    [
        (Rounded, {"zero gradients"}),
        (Misleading, set()),
        (OnlyAtImages, {"one step stronger than many"}),
    ],
)
def test_a_masked_gradient_is_caught(digits, shallow, masked, more):
    subject = Subject(masked(shallow), "masked", undefended=shallow)
    few = digits.test.first(100)
    table = audit(subject, few, eps=0.3, step=0.05, steps=10, queries=50)
    assert falls(table)[0.3] > 60
    found = warned(table) - {"restarts still helping"}  # more draws of noise do help
    assert found == BLACK_BOX | {"noise as strong as the attack"} | more


@pytest.mark.parametrize("left_on", [Noisy, dropping])
def test_random_output_is_caught_before_anything_else(digits, shallow, left_on, monkeypatch):
    monkeypatch.setattr(module, "evaluate", lambda *_, **__: pytest.fail("was attacked"))
    table = audit(Subject(left_on(shallow), "random"), digits.test, **EPS)
    first, *others = table["verdict"]
    assert first == "warn"
    assert set(others) == {"not tried"}
    assert set(table["figure"][1:]) == {"no two passes agree: attack their mean"}


def test_probabilities_are_told_from_logits(digits, shallow):
    few = digits.test.first(50)
    table = audit(Subject(Probabilities(shallow), "softmax"), few, **EPS | {"queries": 10})
    assert verdicts(table)["probabilities for logits"] == "warn"
    assert "sums 1 to 1" in figure(table, "probabilities for logits")


# An attack that falls short


def test_too_few_steps_show_in_the_loss(digits, hardened):
    few, few_steps = digits.test.first(100), {"eps": 0.1, "step": 0.005, "steps": 4, "queries": 10}
    table = audit(Subject(hardened, "cnn"), few, **few_steps)
    assert verdicts(table)["loss still rising"] == "warn"
    naive = audit(Subject(hardened, "cnn"), few, **few_steps, gradient="float32")
    assert verdicts(naive)["loss still rising"] == "warn"


def test_autoattack_tells_of_a_pgd_that_is_too_weak(digits, shallow):
    weak = {"eps": 0.3, "step": 0.001, "steps": 2, "restarts": 1, "queries": 10}
    table = audit(Subject(shallow, "cnn"), digits.test.first(60), **weak, autoattacked=30)
    assert verdicts(table)["AutoAttack stronger than PGD"] == "warn"
    assert figure(table, "AutoAttack stronger than PGD").endswith("0.0 % of 30 images")


# The edge of each rule, on made-up outcomes


@pytest.fixture
def made_up(digits, shallow, monkeypatch):
    """The table of a network that gets 100 images right, of which attacks leave the first so many.

    By attack, protocol and eps; what is not told, and what PGD is shown again, loses none.
    """
    images = digits.test.images[:100]
    split = Split(images, guesses(shallow, pixels(images)))

    def table(left, gone=0, autoattacked=0):
        def evaluate(subjects, some, attacks, protocols, *, gradient, seed):
            (attack,), (protocol,), count = attacks, protocols, len(some.labels)
            name = "one run" if attack.name == "PGD" and attack.settings["restarts"] == 1 else ""
            key = (name or attack.name, protocol, attack.eps)
            kept = left.get(key, count) if count == 100 else count - gone
            right = torch.arange(count) < kept
            return [Outcome(subjects[0], attack, protocol, gradient, right)]

        monkeypatch.setattr(module, "evaluate", evaluate)
        subject = Subject(shallow, "cnn", stranger=shallow, undefended=shallow)
        settings = {"eps": 0.1, "step": 0.1, "steps": 1, "restarts": 2}
        return audit(subject, split, **settings, autoattacked=autoattacked)

    return table


WHITE = {("PGD", "white-box", 0.1): 60, ("PGD", "white-box", 0.5): 5}
ONE_STEP, NOISE, GROWTH = (
    "one step stronger than many", "noise as strong as the attack", "accuracy left as eps grows",
)  # fmt: skip
TRANSFER, SQUARE = "transfer stronger than white-box", "Square stronger than PGD"


@pytest.mark.parametrize(
    ("check", "left", "verdict"),
    [
        (ONE_STEP, {("FGSM", "white-box", 0.1): 56}, "pass"),  # four images may be chance
        (ONE_STEP, {("FGSM", "white-box", 0.1): 55}, "warn"),
        (SQUARE, {("Square", "white-box", 0.1): 56}, "pass"),
        (SQUARE, {("Square", "white-box", 0.1): 55}, "warn"),
        (TRANSFER, {("one run", "transfer", 0.1): 56, ("one run", "static", 0.1): 56}, "pass"),
        (TRANSFER, {("one run", "transfer", 0.1): 55}, "warn"),
        (TRANSFER, {("one run", "static", 0.1): 55}, "warn"),
        (NOISE, {("PGD", "noise", 0.1): 90, ("one run", "white-box", 0.1): 85}, "pass"),
        (NOISE, {("PGD", "noise", 0.1): 90, ("one run", "white-box", 0.1): 86}, "warn"),
        (NOISE, {("PGD", "noise", 0.1): 96, ("one run", "white-box", 0.1): 92}, "not tried"),
        (GROWTH, {("PGD", "white-box", 0.2): 64}, "pass"),
        (GROWTH, {("PGD", "white-box", 0.2): 65}, "warn"),
        (GROWTH, {("PGD", "white-box", 0.2): 30, ("PGD", "white-box", 0.5): 15}, "pass"),
        (GROWTH, {("PGD", "white-box", 0.2): 30, ("PGD", "white-box", 0.5): 30}, "warn"),
    ],
)
def test_a_difference_counts_where_the_images_bear_it(made_up, check, left, verdict):
    left = {("PGD", "white-box", 0.2): 10, **WHITE, **left}
    table = made_up(left)
    assert verdicts(table)[check] == verdict
    assert warned(table) - {"loss still rising"} == ({check} if verdict == "warn" else set())


@pytest.mark.parametrize(("gone", "verdict"), [(3, "pass"), (4, "warn")])
def test_restarts_help_where_they_turn_more_than_a_point(made_up, gone, verdict):
    assert verdicts(made_up(WHITE, gone))["restarts still helping"] == verdict


@pytest.mark.parametrize(("gone", "verdict"), [(2, "pass"), (3, "warn")])
def test_autoattack_is_stronger_where_it_turns_more_than_a_point(made_up, gone, verdict):
    table = made_up(WHITE, gone, autoattacked=50)
    assert verdicts(table)["AutoAttack stronger than PGD"] == verdict
    said = f"PGD 100.0 %, AutoAttack {100 - 2 * gone:.1f} % of 50 images"
    assert figure(table, "AutoAttack stronger than PGD") == said


def test_a_point_is_told_from_chance_in_both_ways():
    many = torch.arange(10_000)
    assert module._chance(many < 5000, many < 4910) < 1e-9
    assert not module._less(many < 5000, many < 4910)  # beyond chance, but below a point
    assert module._less(many < 5000, many < 4890)
    first, second = (many < 5000), (many >= 4800) & (many < 9650)
    assert not module._less(first, second)  # 4800 images one way, 4650 the other
    assert module._chance(first, first) == 1


# What cannot be tried


def test_a_network_that_gets_nothing_right_is_not_attacked(digits, shallow):
    images = digits.test.images[:40]
    wrong = (guesses(shallow, pixels(images)) + 1) % 10
    table = audit(Subject(shallow, "cnn"), Split(images, wrong), **EPS)
    assert list(table["verdict"]) == ["pass"] + ["not tried"] * (len(CHECKS) - 1)
    assert figure(table, "loss still rising") == "only 0 images are right without an attack"


def test_autoattack_needs_four_classes_and_transfer_another_network(digits):
    three = networks.build("shallow_cnn", size=16, classes=3)
    images = digits.test.images[:20]
    split = Split(images, guesses(three, pixels(images)))
    table = audit(Subject(three, "cnn"), split, **EPS | {"queries": 5}, autoattacked=20)
    assert "4 classes" in figure(table, "AutoAttack stronger than PGD")
    assert verdicts(table)["AutoAttack stronger than PGD"] == "not tried"
    assert verdicts(table)[TRANSFER] == "not tried"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"eps": 0}, "^eps: leaves nothing"),
        ({"eps": 1.5}, "^eps: "),
        ({"step": 0}, "^step: "),
        ({"steps": 0}, "^steps: "),
        ({"restarts": 0}, "^restarts: "),
        ({"queries": 0}, "^queries: "),
        ({"gradient": "flaot32"}, "^gradient: .*float32"),
        ({"autoattacked": 41}, "^autoattacked: must be 0 to 40"),
        ({"split": 0}, "^split: leaves nothing"),
    ],
)
def test_impossible_settings_are_named(digits, shallow, options, says):
    split = Split(*(part[: options.pop("split", 40)] for part in digits.test))
    with pytest.raises(ValueError, match=says):
        audit(Subject(shallow, "cnn"), split, **EPS | options)


def test_a_network_in_training_mode_is_refused(digits, shallow):
    training = copy.deepcopy(shallow).train()
    with pytest.raises(ValueError, match="^model: is in training mode"):
        audit(Subject(training, "cnn"), digits.test, **EPS)


# Where it runs


def test_it_runs_on_a_pretend_accelerator_and_finds_the_same(digits, shallow):
    few, settings = digits.test.first(20), EPS | {"eps": 0.2, "step": 0.05, "queries": 10}
    state = torch.get_rng_state()
    with cache.off():
        here = audit(Subject(shallow, "cnn", stranger=shallow), few, **settings, autoattacked=5)
        assert torch.equal(torch.get_rng_state(), state)
        with Machine():
            model, split = to_device(shallow), Split(*(part.to(DEVICE) for part in few))
            there = audit(Subject(model, "cnn", stranger=model), split, **settings, autoattacked=5)
    assert there.equals(here)


def test_several_audits_stand_beside_each_other(digits, shallow, hardened):
    few = digits.test.first(40)
    subjects = {"plain": Subject(shallow, "cnn"), "robust": Subject(hardened, "cnn")}
    table = module.audits(subjects, few, **EPS)
    assert list(table.columns) == ["check", "plain", "robust", "a warning if"]
    assert list(table["check"]) == list(CHECKS)
    own = audit(subjects["robust"], few, **EPS)
    assert list(table["robust"]) == [f"{r.verdict}: {r.figure}" for r in own.itertuples()]
