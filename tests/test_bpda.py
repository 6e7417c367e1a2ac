"""BPDA: PGD that a rounding defense does not stop."""

import pytest
import torch
from torch import nn
from toys import guesses, rand, seeded, small_cnn, trained_cnn, untouched

from advlib.attacks import bpda, pgd

HOW = {"eps": 0.15, "step": 0.03, "steps": 10}


class Rounding(nn.Module):
    """Eight levels of grey: a defense whose gradient is 0."""

    def forward(self, images):
        return (images * 7).round() / 7


def rounded():
    model, images, labels = trained_cnn()
    return nn.Sequential(Rounding(), model).eval(), images, labels


def test_it_gets_past_a_rounding_that_stops_pgd():
    model, images, labels = rounded()
    clean = guesses(model, images).eq(labels).float().mean()
    by_pgd = pgd(model, images, labels, random_start=False, **HOW)
    assert torch.equal(by_pgd, images)  # no gradient, no step
    found = bpda(model, images, labels, through=["0"], generator=seeded(), **HOW)
    assert (found - images).abs().max() <= HOW["eps"] + 1e-6
    assert 0 <= found.min() <= found.max() <= 1
    assert guesses(model, found).eq(labels).float().mean() < clean / 4


def test_without_such_a_part_it_is_pgd():
    model, images, labels = trained_cnn()
    found = bpda(model, images, labels, through=[], generator=seeded(), **HOW)
    assert torch.equal(found, pgd(model, images, labels, generator=seeded(), **HOW))


def test_the_gradient_is_that_of_the_rest_at_the_rounded_image():
    """One step of a linear network: its sign is known, whatever the rounding does."""
    model = nn.Sequential(Rounding(), small_cnn()).eval()
    images, labels = rand(5, 2, 8, 8), torch.arange(5) % 4
    once = {"eps": 0.1, "step": 0.1, "steps": 1, "random_start": False}
    found = bpda(model, images, labels, through=["0"], **once)
    rounded = Rounding()(images).requires_grad_()
    loss = nn.functional.cross_entropy(model[1](rounded), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, rounded)
    expected = (images + 0.1 * gradient.sign()).clamp(0, 1)
    torch.testing.assert_close(found, expected)


def test_model_and_inputs_are_left_as_they_were():
    model, images, labels = rounded()
    with untouched(model, images[:3], labels[:3]):
        bpda(model, images[:3], labels[:3], through=["0"], **HOW)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("through", "said"), [(["9"], "no module called '9'"), (["1.network"], "turns .* into")]
)
def test_what_cannot_be_passed_through_is_named(through, said):
    model, images, labels = rounded()
    with pytest.raises(ValueError, match=f"^through: .*{said}"):
        bpda(model, images, labels, through=through, **HOW)
    assert not any(module._forward_hooks for module in model.modules())
