"""The wrapper of AutoAttack: its strength, and the contract of every attack."""

import pytest
import torch
from toys import guesses, linear, rand, seeded, small_cnn, trained_cnn, untouched

from advlib import networks
from advlib.attacks import autoattack, pgd


def test_it_finds_what_pgd_finds_and_more():
    model, images, labels = (part[:40] if torch.is_tensor(part) else part for part in trained_cnn())
    eps = 0.06
    found = autoattack(model, images, labels, eps=eps, generator=seeded())
    robust = guesses(model, found) == labels
    by_pgd = pgd(model, images, labels, eps=eps, step=eps / 8, steps=20, generator=seeded())
    assert robust.sum() <= (guesses(model, by_pgd) == labels).sum()
    assert (found - images).abs().max() <= eps + 1e-6
    assert 0 <= found.min() <= found.max() <= 1
    assert torch.equal(found[robust], images[robust])


def test_the_generator_decides_and_the_global_state_stays():
    model, images, labels = small_cnn(), rand(6, 2, 8, 8), torch.arange(6) % 4
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again = (
        autoattack(model, images, labels, eps=0.2, generator=seeded(1)) for _ in range(2)
    )
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)


def test_model_and_inputs_are_left_as_they_were():
    model = networks.build("shallow_cnn", classes=4, channels=2, size=8)
    images, labels = rand(3, 2, 8, 8), torch.arange(3)
    with untouched(model, images, labels), torch.no_grad():
        found = autoattack(model, images, labels, eps=0.3, generator=seeded())
    assert found.data_ptr() != images.data_ptr()
    assert not found.requires_grad


def test_nothing_to_do():
    model = small_cnn()
    images = rand(2, 2, 8, 8)
    assert torch.equal(autoattack(model, images, torch.arange(2), eps=0), images)
    empty = autoattack(model, images[:0], torch.arange(0), eps=0.1)
    assert empty.shape == (0, 2, 8, 8)


@pytest.mark.parametrize("eps", [1.5, -0.1, float("nan"), torch.tensor([0.1, 0.1])])
def test_bad_eps_is_refused(eps):
    with pytest.raises(ValueError, match="^eps: "):
        autoattack(small_cnn(), rand(2, 2, 8, 8), torch.arange(2), eps=eps)


def test_bad_inputs_are_refused():
    with pytest.raises(ValueError, match="^images: "):
        autoattack(small_cnn(), rand(2, 2, 8, 8) + 1, torch.arange(2), eps=0.1)
    with pytest.raises(ValueError, match="^model: .*4 classes"):
        autoattack(linear(torch.eye(3, 8)), rand(2, 1, 2, 4), torch.arange(2), eps=0.1)
