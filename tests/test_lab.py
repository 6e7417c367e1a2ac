"""What the attack lab's steps say is so of the published networks."""

import itertools

import torch

from advlib import networks
from advlib.book import lab
from advlib.predictions import logits


def test_each_step_shows_what_it_says():
    images, labels = lab.digits()
    images = images[:, None].float() / 255
    models = {name: lab.network(name) for name in lab.NETWORKS}
    right = []
    for step in lab.STEPS:
        crafted = lab.craft(models, step, images, labels, lab.RADII[1])
        right.append(int((logits(models[step.net], crafted).argmax(1) == labels).sum()))
    falls, holds, falls_too, hardly, keeps = right
    assert max(falls, falls_too) < 15
    assert min(holds, hardly, keeps) >= 40


def test_rounded_weights_count_as_the_published_ones_do():
    images, labels = lab.digits()
    images = images[:, None].float() / 255
    rounded = {name: lab.network(name) for name in lab.NETWORKS}
    published = {
        name: networks.published(f"synthesis_mnist/{own}").eval()
        for name, (own, _) in lab.NETWORKS.items()
    }
    for models, some in ((rounded, False), (published, True)):
        weights = next(models["pgd"].parameters())
        assert (weights.detach().view(torch.int32) & 0xFF).any() == some
    for step, eps in itertools.product(lab.STEPS, lab.RADII):
        right = []
        for models in (rounded, published):
            crafted = lab.craft(models, step, images, labels, eps)
            right.append(logits(models[step.net], crafted).argmax(1) == labels)
        assert torch.equal(*right)


def test_the_digits_are_five_of_each():
    images, labels = lab.digits()
    assert images.shape == (50, 28, 28)
    assert labels.bincount().tolist() == [5] * 10
