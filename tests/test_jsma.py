"""JSMA against brute force, its modes, and the contract of every attack."""

from __future__ import annotations

import functools
import itertools

import pytest
import torch
from torch import Tensor, nn
from toys import Faulty, guesses, linear, rand, small_cnn, trained_cnn, untouched

from advlib import networks
from advlib.attacks import jsma
from advlib.attacks.jsma import EDGE, MODES, OUTPUTS, best_pair, best_single

every_mode = pytest.mark.parametrize("mode", MODES)
every_output = pytest.mark.parametrize("output", OUTPUTS)
both_signs = pytest.mark.parametrize("theta", [1.0, 0.3, -0.3, -1.0])
pairs_or_not = pytest.mark.parametrize("pairs", [True, False], ids=["pairs", "single"])


# The pair search


def brute_pair(gain: Tensor, loss: Tensor, allowed: Tensor) -> tuple[list, list]:
    """Papernot et al., algorithm 3, as it is written: every pair of every row."""
    chosen, found = [], []
    for up, down, may in zip(gain.tolist(), loss.tolist(), allowed.tolist(), strict=True):
        best, pair = 0.0, [0, 0]
        for p, q in itertools.combinations(range(len(up)), 2):
            rise, fall = up[p] + up[q], down[p] + down[q]
            if may[p] and may[q] and rise > 0 and fall < 0 and -rise * fall > best:
                best, pair = -rise * fall, [p, q]
        chosen.append(pair)
        found.append(best > 0)
    return chosen, found


def numbers(kind: str, seed: int) -> tuple[Tensor, Tensor]:
    """Six rows of 23 gradients for target and others."""
    gain, loss = rand(6, 23, low=-1, seed=seed), rand(6, 23, low=-1, seed=seed + 100)
    match kind:
        case "ties":
            return (2 * gain).round(), (2 * loss).round()
        case "opposite":  # as on softmax outputs
            return gain, -gain
        case "zeros":
            return gain.where(gain > 0.5, 0), loss.where(loss < -0.5, 0)
        case "one front":  # no feature matches another in both
            gain = gain.sort(1).values
            return gain, gain.flip(1).mul(-1).sort(1).values
        case "hopeless":
            return gain.abs(), loss.abs()
    return gain, loss


KINDS = ["plain", "ties", "opposite", "zeros", "one front", "hopeless"]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [1.0, 0.6, 0.1])
@pytest.mark.parametrize("kind", KINDS)
def test_the_pair_is_brute_forces(kind, share, seed):
    gain, loss = numbers(kind, seed)
    allowed = rand(6, 23, seed=seed + 200) <= share
    allowed[0] = False
    chosen, found = best_pair(gain, loss, allowed)
    assert (chosen.tolist(), found.tolist()) == brute_pair(gain, loss, allowed)
    if kind == "hopeless":
        assert not found.any()


def test_pairs_without_a_dominated_feature_are_searched_in_parts():
    """The worst case: every feature is a candidate, and memory must not grow with their square."""
    gain = torch.arange(1.0, 401.0).expand(2, -1)
    loss = -gain.flip(1)
    chosen, found = best_pair(gain, loss, torch.ones_like(gain, dtype=torch.bool))
    assert (chosen.tolist(), found.tolist()) == brute_pair(gain, loss, gain > 0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_single_feature_is_brute_forces(kind):
    gain, loss = numbers(kind, 7)
    allowed = rand(6, 23, seed=8) < 0.7
    chosen, found = best_single(gain, loss, allowed)
    for row in range(6):
        scores = {
            feature: -(gain[row, feature] * loss[row, feature]).item()
            for feature in range(23)
            if allowed[row, feature] and gain[row, feature] > 0 and loss[row, feature] < 0
        }
        assert found[row] == bool(scores)
        if scores:
            assert chosen[row].item() == max(scores, key=scores.get)


# The whole attack


def brute_jsma(
    model: nn.Module, image: Tensor, goal: int, *, theta: float, gamma: float, away: bool,
    output: str, pairs: bool,
) -> Tensor:  # fmt: skip
    """One image [C, H, W], its whole Jacobian and every pair: the definition, step by step."""
    image = image.clone()
    features = image.view(-1)

    def outputs(pixels: Tensor) -> Tensor:
        logits = model(pixels[None])[0]
        return logits.softmax(0) if output == "softmax" else logits

    for _ in range(int(gamma * len(features) / (2 if pairs else 1) + 1e-9)):
        if (guesses(model, image[None])[0] == goal) != away:
            break
        jacobian = torch.autograd.functional.jacobian(outputs, image).flatten(1)
        own, others = jacobian[goal], jacobian.sum(0) - jacobian[goal]
        if output == "softmax":
            others = -own
        gain, loss = (others, own) if away else (own, others)
        if theta < 0:
            gain, loss = -gain, -loss
        allowed = features < 1 - EDGE if theta > 0 else features > EDGE
        search = brute_pair if pairs else best_single
        chosen, found = search(gain[None], loss[None], allowed[None])
        if not found[0]:
            break
        for feature in torch.as_tensor(chosen)[0].tolist():
            features[feature] = (features[feature] + theta).clamp(0, 1)
    return image


@pairs_or_not
@every_output
@both_signs
@pytest.mark.parametrize("mode", ["untargeted", "targeted"])
def test_every_image_is_as_brute_force_makes_it(mode, theta, output, pairs):
    model = small_cnn()
    images = rand(5, 2, 8, 8, low=-0.3, high=1.3, seed=1).clamp(0, 1)
    images[0] = 0  # with ties: whole patches of the same value
    images[1] = 1
    own = guesses(model, images)
    labels = own if mode == "untargeted" else (own + torch.tensor([1, 2, 3, 1, 0])) % 4
    how = {"theta": theta, "gamma": 0.12, "output": output, "pairs": pairs}
    found = jsma(model, images, labels, mode=mode, **how)
    for image, label, made in zip(images, labels.tolist(), found, strict=True):
        torch.testing.assert_close(
            made, brute_jsma(model, image, label, away=mode == "untargeted", **how)
        )
    assert (found != images).any()


def test_the_best_pair_of_a_linear_model_is_changed():
    weight = torch.zeros(2, 9)
    weight[0, [1, 4, 7]] = torch.tensor([0.3, 0.5, 0.4])  # towards class 0
    weight[1, [1, 4, 7]] = torch.tensor([-0.9, -0.1, -0.4])
    images = torch.full((1, 1, 3, 3), 0.5)
    # -(a_p + a_q)(b_p + b_q): 0.8 for 1 and 4, 0.91 for 1 and 7, 0.45 for 4 and 7.
    found = jsma(linear(weight, torch.tensor([0.0, 9.0])), images, torch.tensor([0]),
                 theta=0.25, gamma=0.25, mode="targeted")  # fmt: skip
    assert (found - images).flatten().tolist() == [0, 0.25, 0, 0, 0, 0, 0, 0.25, 0]


@pairs_or_not
@both_signs
@every_mode
def test_real_images_change_in_few_features_and_in_one_direction(mode, theta, pairs):
    model, images, labels = trained_cnn()
    count = images[0].numel()
    for gamma in (0.0, 0.05, 0.3):
        found = jsma(
            model, images, labels, theta=theta, gamma=gamma, mode=mode, pairs=pairs,
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        change = (found - images).flatten(1)
        assert (change != 0).sum(1).max() <= gamma * count
        assert (change * theta >= 0).all()
        assert 0 <= found.min() <= found.max() <= 1
        assert torch.equal(found, images) == (gamma == 0)


def test_it_fools_a_network_that_real_images_do_not():
    model, images, labels = trained_cnn()
    untargeted = jsma(model, images, labels, gamma=0.2)
    assert guesses(model, untargeted).eq(labels).float().mean() < 0.1
    targets = (labels + 1) % 10
    targeted = jsma(model, images, targets, gamma=0.4, mode="targeted")
    assert guesses(model, targeted).eq(targets).float().mean() > 0.8


def test_an_image_that_is_where_it_should_be_is_left_alone():
    model, images, labels = trained_cnn()
    wrong = guesses(model, images) != labels
    assert wrong.any()
    assert torch.equal(jsma(model, images, labels)[wrong], images[wrong])
    assert torch.equal(jsma(model, images, guesses(model, images), mode="targeted"), images)


@pytest.mark.parametrize("theta", [1.0, -1.0])
def test_no_step_is_spent_on_a_feature_without_room(theta):
    """The best pair has 2/255 left to go, the next best all of its range."""
    weight = torch.zeros(2, 4)
    weight[0], weight[1] = torch.tensor([4.0, 4.0, 1.0, 1.0]), -torch.tensor([4.0, 4.0, 1.0, 1.0])
    edge = 253 / 255 if theta > 0 else 2 / 255
    images = torch.tensor([edge, edge, 0.5, 0.5]).view(1, 1, 2, 2)
    model = linear(weight * theta, torch.tensor([0.0, 99.0]))
    found = jsma(model, images, torch.tensor([0]), theta=theta, gamma=0.5, mode="targeted")
    far = max(theta, 0.0)
    assert found.flatten().tolist() == torch.tensor([edge, edge, far, far]).tolist()


def test_random_targets_are_every_class_but_the_label():
    model, labels = linear(2 * torch.eye(5, 8) - 0.1), torch.arange(5).repeat(40)
    images = torch.zeros(200, 1, 2, 4)
    made = []
    for seed in (0, 0, 1):
        generator = torch.Generator().manual_seed(seed)
        made.append(
            jsma(model, images, labels, gamma=1.0, mode="random_target", pairs=False,
                 generator=generator)
        )  # fmt: skip
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    reached = set(zip(labels.tolist(), guesses(model, made[0]).tolist(), strict=True))
    assert reached == set(itertools.permutations(range(5), 2))


def test_it_works_on_photographs_without_the_square_of_their_pixels():
    """150,528 features: all pairs of one image would take 84 GiB."""
    model = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images = rand(2, 3, 224, 224)
    found = jsma(model.eval(), images, guesses(model, images), theta=0.5, gamma=1e-4)
    assert 0 < (found != images).flatten(1).sum(1).max() <= 14


# The contract

HOW = {"theta": -0.4, "gamma": 0.1}
STILL = {mode: functools.partial(jsma, mode=mode, **HOW) for mode in ("untargeted", "targeted")}
every_still_mode = pytest.mark.parametrize("attack", STILL.values(), ids=STILL)


@every_still_mode
def test_neither_order_nor_company_matters(attack):
    model, images, labels = small_cnn(), rand(9, 2, 8, 8), torch.arange(9) % 4
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    found = attack(model, images, labels)
    assert torch.equal(attack(model, images[order], labels[order]), found[order])
    assert torch.equal(attack(model, images[:1], labels[:1]), found[:1])


@pytest.mark.parametrize("faulty", [False, True])
@every_still_mode
def test_model_and_inputs_are_left_as_they_were(attack, faulty):
    network = networks.build("shallow_cnn", classes=4, channels=2, size=8)
    model = Faulty(network).eval() if faulty else network
    images, labels = rand(3, 2, 8, 8), torch.arange(3)
    with untouched(model, images, labels), torch.no_grad():
        if faulty:
            with pytest.raises(RuntimeError, match="out of memory"):
                attack(model, images, labels)
        else:
            found = attack(model, images, labels)
            assert found.data_ptr() != images.data_ptr()
            assert not found.requires_grad


@every_mode
def test_empty_batch(mode):
    found = jsma(small_cnn(), torch.empty(0, 2, 8, 8), torch.empty(0, dtype=torch.int64), mode=mode)
    assert found.shape == (0, 2, 8, 8)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("theta", 0), ("theta", 1.5), ("theta", -2), ("theta", float("nan")),
        ("gamma", -0.1), ("gamma", 1.1), ("gamma", float("nan")),
        ("mode", "target"), ("output", "probabilities"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"^{name}: "):
        jsma(small_cnn(), rand(2, 2, 8, 8), torch.arange(2), **{name: value})


@pytest.mark.parametrize(
    ("name", "images", "labels"),
    [
        ("images", rand(2, 2, 8, 8) + 0.5, torch.arange(2)),
        ("images", rand(2, 2, 64), torch.arange(2)),
        ("labels", rand(2, 2, 8, 8), torch.arange(3)),
        ("labels", rand(2, 2, 8, 8), torch.arange(2.0)),
        ("labels", rand(2, 2, 8, 8), torch.tensor([0, 4])),
        ("labels", rand(2, 2, 8, 8), torch.tensor([0, -1])),
    ],
)
@every_mode
def test_bad_inputs_are_refused(mode, name, images, labels):
    with pytest.raises(ValueError, match=rf"^{name}: "):
        jsma(small_cnn(), images, labels, mode=mode)
