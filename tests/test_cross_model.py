"""Retraining on another network's adversarial images: what is in the training set, and what not."""

import dataclasses

import pytest
import torch

from advlib import augmentation, cache, networks
from advlib.attacks import Attack, craft, fgsm
from advlib.data import Split, pixels
from advlib.defenses import cross_model
from advlib.predictions import correct
from advlib.training import Recipe, fit


def unbalanced():
    labels = torch.tensor([0] * 40 + [1] * 25 + [3] * 10 + [0] * 5)
    return Split(torch.arange(80, dtype=torch.uint8).view(-1, 1, 1, 1), labels)


def test_undersampling_leaves_every_class_as_many_images():
    split = unbalanced()
    found = cross_model.undersample(split)
    assert found.labels.bincount().tolist() == [10, 10, 0, 10]
    numbers = found.images.flatten().long()
    assert torch.equal(split.labels[numbers], found.labels)  # each with its own label
    assert numbers.diff().gt(0).all()  # none twice, and in their order


def test_undersampling_draws_with_its_seed():
    drawn = [
        cross_model.undersample(unbalanced(), seed=s).images.flatten().tolist() for s in range(30)
    ]
    assert drawn[0] == cross_model.undersample(unbalanced(), seed=0).images.flatten().tolist()
    assert set().union(*drawn) == set(range(80))  # nobody is left out for good


def test_one_class_is_refused():
    split = Split(torch.zeros(5, 1, 2, 2), torch.ones(5, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"^split: .*\[1\]"):
        cross_model.undersample(split)


def test_adversarial_copies_follow_with_their_originals_labels(digits, shallow):
    train = Split(*(part[:30] for part in digits.train))
    made = cross_model.with_adversarial(shallow, train, epss=[0.05, 0.1])
    assert torch.equal(made.labels, train.labels.repeat(3))
    original = pixels(train.images)
    assert torch.equal(made.images[:30], original)
    for copy, eps in zip(made.images[30:].split(30), (0.05, 0.1), strict=True):
        assert (copy - original).abs().amax().item() == pytest.approx(eps, abs=1e-6)


def test_no_test_image_is_trained_on(digits, shallow):
    made = cross_model.with_adversarial(shallow, digits.train, epss=[0.05])
    seen = {image.numpy().tobytes() for image in made.images[: len(digits.train.labels)]}
    held = {image.numpy().tobytes() for image in pixels(digits.test.images)}
    assert seen == {image.numpy().tobytes() for image in pixels(digits.train.images)}
    assert len(seen & held) <= 1  # the digits hold a pair of equal images


@pytest.mark.parametrize("same", [True, False], ids=["itself", "another"])
def test_a_network_retrained_on_a_sources_images_withstands_them(digits, same):
    source = networks.build("shallow_cnn", size=16)
    recipe = Recipe(epochs=20, patience=20, batch_size=64, optimizer="adam")
    fit(source, digits.train, recipe, validation=digits.validation)
    target = source if same else networks.build("base_cnn", size=16, seed=3)
    before = cache.digest(target)
    varied = augmentation.varied(flip=False, rotate=5, scale=0.05, shift=0.05)
    hardened, _ = cross_model.harden(
        target, digits.train, dataclasses.replace(recipe, prepare=varied), source=source,
        epss=[0.1, 0.2], validation=digits.validation,
    )  # fmt: skip
    assert cache.digest(target) == before
    assert correct(hardened, digits.test).float().mean() > 0.85
    shown = craft(source, digits.test, Attack("FGSM", fgsm, eps=0.15))
    fooled = correct(source, shown).float().mean()
    assert correct(hardened, shown).float().mean() > fooled + 0.2


def test_no_eps_is_refused(digits, shallow):
    with pytest.raises(ValueError, match="^epss: "):
        cross_model.with_adversarial(shallow, digits.train, epss=[])
