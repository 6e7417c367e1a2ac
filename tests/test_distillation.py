"""Defensive distillation: what the student learns, and why it looks robust."""

import dataclasses
import functools

import pytest
import torch
import torch.nn.functional as F
from toys import Surer, guesses, linear, rand, trained_cnn

from advlib import networks
from advlib.attacks import fgsm, losses, pgd
from advlib.audit import zero_gradients
from advlib.data import Split, pixels
from advlib.defenses import adversarial, distillation
from advlib.predictions import correct, logits
from advlib.training import Recipe

RECIPE = Recipe(epochs=2, batch_size=50, optimizer="adam", lr=0.002)
LONGER = dataclasses.replace(RECIPE, epochs=8)


def new():
    return networks.build("shallow_cnn", size=16)


def test_temperature_divides_the_logits_and_keeps_the_guesses(digits, shallow):
    images = pixels(digits.test.images)
    tempered = distillation.Tempered(shallow, 20)
    assert torch.equal(tempered(images), shallow(images) / 20)
    assert not tempered.training
    assert torch.equal(guesses(tempered, images), guesses(shallow, images))


def test_soft_labels_are_the_softmax_at_the_temperature(digits, shallow):
    found = distillation.soft_labels(shallow, digits.test.images, temperature=7)
    powers = (logits(shallow, digits.test.images).double() / 7).exp()
    torch.testing.assert_close(found.double(), powers / powers.sum(1, keepdim=True))


def test_at_temperature_1_the_teacher_is_a_plain_network(digits):
    plain, _ = adversarial.harden(new(), digits.train, RECIPE)
    teacher, _ = distillation.at_temperature(new(), digits.train, RECIPE, temperature=1)
    for name, value in plain.state_dict().items():
        assert torch.equal(teacher.state_dict()[name], value)


def test_hard_labels_at_temperature_1_are_plain_training(digits):
    """A teacher that is sure of every label hands on hard labels."""
    labels = digits.train.labels[:64]
    split = Split(torch.eye(64).view(64, 1, 8, 8), labels)
    sure = linear(200 * F.one_hot(labels, 10).float().T)  # knows each image by its lit pixel
    untrained = networks.build("shallow_cnn", size=8)
    plain, _ = adversarial.harden(untrained, split, RECIPE)
    student, _ = distillation.harden(untrained, split, RECIPE, teacher=sure, temperature=1)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(student.state_dict()[name], value)


def test_the_student_learns_what_the_teacher_says_not_the_labels(digits):
    teacher, _ = distillation.at_temperature(new(), digits.train, LONGER, temperature=5)
    blank = Split(digits.train.images, torch.zeros_like(digits.train.labels))
    student, _ = distillation.harden(new(), blank, LONGER, teacher=teacher, temperature=5)
    agree = guesses(student, pixels(digits.test.images)) == guesses(
        teacher, pixels(digits.test.images)
    )
    assert agree.float().mean() > 0.8


def test_the_models_are_left_as_they_are(digits, shallow):
    student, before = new(), new().state_dict()
    state = {name: value.clone() for name, value in shallow.state_dict().items()}
    distillation.harden(student, digits.train, RECIPE, teacher=shallow, temperature=10)
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    assert all(torch.equal(value, state[name]) for name, value in shallow.state_dict().items())


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf")])
def test_an_impossible_temperature_is_named(digits, temperature):
    for call in (
        functools.partial(distillation.at_temperature, new(), digits.train, RECIPE),
        functools.partial(distillation.harden, new(), digits.train, RECIPE, teacher=new()),
        functools.partial(distillation.soft_labels, new(), digits.train.images),
    ):
        with pytest.raises(ValueError, match=r"^temperature: "):
            call(temperature=temperature)


def test_large_logits_hide_a_network_from_float32_alone():
    """What distillation does to logits, done by hand: nothing is won but vanishing gradients."""
    model, images, labels = trained_cnn()
    split = Split(images, labels)
    scaled = Surer(model, 100.0)
    vanished = zero_gradients(scaled, split)
    assert vanished.float().mean() > 0.8
    assert not zero_gradients(model, split).any()
    assert not zero_gradients(scaled, split, loss=losses.cross_entropy).any()
    assert not zero_gradients(distillation.Tempered(scaled, 100.0), split).any()

    blind = functools.partial(fgsm, eps=0.1, loss=losses.float32_cross_entropy)
    still = (blind(scaled, images, labels) - images).flatten(1).abs().amax(1) == 0
    assert torch.equal(still, vanished)
    seeing = correct(scaled, Split(fgsm(scaled, images, labels, eps=0.1), labels)).float().mean()
    undone = blind(distillation.Tempered(scaled, 100.0), images, labels)
    undone = correct(scaled, Split(undone, labels)).float().mean()
    fooled = correct(scaled, Split(blind(scaled, images, labels), labels)).float().mean()
    assert fooled > seeing + 0.3
    assert abs(undone - seeing) < 0.02


def test_the_losses_point_where_autograd_does():
    scores, labels = 6 * rand(5, 7, low=-1), torch.tensor([0, 3, 6, 2, 2])
    scores.requires_grad_()
    (exact,) = torch.autograd.grad(F.cross_entropy(scores, labels, reduction="sum"), scores)
    found = losses.float32_cross_entropy(scores.detach(), labels)
    torch.testing.assert_close(found, exact)
    surely = scores.softmax(1).gather(1, labels[:, None]).detach()
    torch.testing.assert_close(losses.cross_entropy(scores.detach(), labels) * (1 - surely), exact)
    others = scores.scatter(1, labels[:, None], -torch.inf).amax(1)
    (exact,) = torch.autograd.grad((others - scores.gather(1, labels[:, None])[:, 0]).sum(), scores)
    assert torch.equal(losses.margin(scores.detach(), labels), exact)


def test_every_loss_climbs():
    model, images, labels = trained_cnn()
    clean = correct(model, Split(images, labels)).float().mean()
    for loss in (losses.cross_entropy, losses.float32_cross_entropy, losses.margin):
        found = pgd(
            model, images, labels, eps=0.1, step=0.02, steps=5, random_start=False, loss=loss
        )
        assert correct(model, Split(found, labels)).float().mean() < clean / 2
