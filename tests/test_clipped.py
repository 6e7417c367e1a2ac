"""Clipped probabilities: the guesses of the model, and no gradient where it is sure."""

import functools

import torch
from torch import nn
from toys import Surer, guesses, seeded, trained_cnn

from advlib.attacks import fgsm, pgd
from advlib.attacks.clipped import EPSILON, ClippedProbabilities, certain
from advlib.data import Split


def test_the_values_are_keras_s_and_the_guesses_the_models():
    model, images, _ = trained_cnn()
    seen = ClippedProbabilities(model)(images)
    expected = model(images).double().softmax(1).clamp(EPSILON, 1 - EPSILON).log()
    torch.testing.assert_close(seen, expected.float(), atol=2e-7, rtol=1e-4)
    assert torch.equal(seen.argmax(1), guesses(model, images))


def test_an_attack_moves_just_the_images_of_which_the_model_is_not_certain():
    model, images, labels = trained_cnn()
    sure = Surer(model, 5.0)
    split = Split(images, labels)
    still = certain(sure, split)
    assert 0.2 < still.float().mean() < 0.98  # some of either kind
    moved = (fgsm(ClippedProbabilities(sure), images, labels, eps=0.1) - images).flatten(1)
    assert torch.equal(moved.abs().amax(1) == 0, still)


def test_it_hides_what_an_attack_on_the_logits_finds():
    model, images, labels = trained_cnn()
    sure = Surer(model, 5.0)
    attack = functools.partial(pgd, eps=0.1, step=0.02, steps=10)
    clean = guesses(sure, images).eq(labels).float().mean()
    blind = attack(ClippedProbabilities(sure), images, labels, generator=seeded())
    seeing = attack(sure, images, labels, generator=seeded())
    left = {
        name: guesses(sure, found).eq(labels).float().mean()
        for name, found in (("blind", blind), ("seeing", seeing))
    }
    assert left["seeing"] < clean / 2
    assert left["blind"] > left["seeing"] + 0.2


def test_the_mode_is_the_models():
    model, _, _ = trained_cnn()
    assert not ClippedProbabilities(model).training
    assert ClippedProbabilities(nn.Identity().train()).training
