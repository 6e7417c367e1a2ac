"""Adversarial patches: where they go, what they leave alone, and that they are learned."""

import pytest
import torch
from toys import linear, rand, seeded, trained_cnn, untouched

from advlib.attacks.patch import Placements, apply_patch, place, train_patch
from advlib.predictions import logits

TURNED = {"scale": (0.7, 1.4), "rotation": 45.0}


def at(x, y, scale=1.0, angle=0.0):
    return Placements(*(torch.tensor([float(v)]) for v in (x, y, scale, angle)))


def test_an_upright_patch_is_pasted_pixel_by_pixel():
    images, patch = rand(6, 2, 12, 15), rand(2, 5, 5, seed=1)
    where = place(6, size=5, image_size=(12, 15), generator=seeded())
    made = apply_patch(images, patch, where)
    for image, found, x, y in zip(images, made, where.x, where.y, strict=True):
        left, top = round(x.item() - 2.5), round(y.item() - 2.5)
        expected = image.clone()
        expected[:, top : top + 5, left : left + 5] = patch
        torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)
        outside = torch.ones_like(image, dtype=torch.bool)
        outside[:, top : top + 5, left : left + 5] = False
        assert torch.equal(found[outside], image[outside])


def test_every_position_is_as_likely():
    where = place(20_000, size=5, image_size=(8, 7), generator=seeded())
    counts = torch.zeros(4, 3)
    for y, x in zip(where.y - 2.5, where.x - 2.5, strict=True):
        counts[round(y.item()), round(x.item())] += 1
    assert counts.sum() == 20_000
    assert (counts / 20_000 - 1 / 12).abs().max() < 0.01  # five standard deviations


def test_turned_patches_stay_in_the_image():
    where = place(2000, size=10, image_size=(21, 24), generator=seeded(), **TURNED)
    turn = torch.deg2rad(where.angle)
    reach = 5 * where.scale * (turn.cos().abs() + turn.sin().abs())
    assert (where.x - reach).min() > -1e-4
    assert (where.x + reach).max() < 24 + 1e-4
    assert (where.y - reach).min() > -1e-4
    assert (where.y + reach).max() < 21 + 1e-4
    assert where.scale.min() < 0.75 < 1.35 < where.scale.max()
    assert where.angle.min() < -40 < 40 < where.angle.max()
    ones = apply_patch(torch.zeros(2000, 1, 21, 24), torch.ones(1, 10, 10), where)
    side = ones.sum((1, 2, 3)).sqrt()  # of a square of as many pixels
    assert (side - 10 * where.scale).abs().max() < 0.6  # whole, and nothing beside it
    assert (side - 10 * where.scale).mean().abs() < 0.05


def test_a_quarter_turn_counter_clockwise():
    patch = rand(3, 4, 4)
    made = apply_patch(torch.zeros(1, 3, 4, 4), patch, at(2, 2, angle=90))
    torch.testing.assert_close(made[0], patch.rot90(1, (1, 2)), atol=1e-5, rtol=0)


def test_doubling_is_bilinear():
    patch = rand(1, 4, 4)
    made = apply_patch(torch.zeros(1, 1, 8, 8), patch, at(4, 4, scale=2))
    expected = torch.nn.functional.interpolate(patch[None], scale_factor=2, mode="bilinear")
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("how", [{}, {"scale": (0.5, 1.5)}, {"rotation": 180.0}, TURNED])
def test_pixels_stay_in_the_box_and_the_gradient_reaches_every_pixel(how):
    patch = rand(3, 6, 6).round().requires_grad_()  # zeros and ones
    where = place(40, size=6, image_size=(16, 16), generator=seeded(), **how)
    made = apply_patch(rand(40, 3, 16, 16), patch, where)
    assert made.min() >= 0
    assert made.max() <= 1
    (gradient,) = torch.autograd.grad(made.sum(), patch)
    assert (gradient > 0).all()


def test_a_patch_that_might_not_fit_is_refused():
    place(1, size=10, image_size=(10, 12))
    with pytest.raises(ValueError, match=r"^size: .*11.0.*only 10"):
        place(1, size=11, image_size=(10, 12))
    with pytest.raises(ValueError, match=r"^size: "):
        place(1, size=10, image_size=(10, 12), rotation=1.0)
    place(1, size=10, image_size=(15, 15), rotation=180.0)
    with pytest.raises(ValueError, match=r"^size: .*14.1"):
        place(1, size=10, image_size=(14, 14), rotation=45.0)


def test_training_finds_the_best_patch_of_a_linear_model():
    """Every pixel of the image pulls class 1 alike, so the best patch is known wherever it goes."""
    pull = torch.tensor([0.3, -0.2, 0.1])  # by channel
    weight = torch.stack([torch.zeros(3 * 64), pull.repeat_interleave(64)])
    patch = train_patch(linear(weight), rand(10, 3, 8, 8), 1, size=3, steps=40, step=0.1)
    expected = (pull > 0).float().view(3, 1, 1).expand(3, 3, 3)
    assert torch.equal(patch, expected)


def test_a_patch_works_on_images_that_it_was_not_trained_on():
    model, images, labels = trained_cnn()
    target = 5
    learn, judge = images[:100][labels[:100] != target], images[100:][labels[100:] != target]
    before = (logits(model, judge).argmax(1) == target).float().mean()
    found = {}
    for name, patch in {
        "trained": train_patch(model, learn, target, size=9, steps=150),
        "random": rand(1, 9, 9),
    }.items():
        where = place(len(judge), size=9, image_size=(12, 12), generator=seeded())
        hit = logits(model, apply_patch(judge, patch, where)).argmax(1) == target
        found[name] = hit.float().mean()
    assert found["trained"] > 0.5
    assert found["trained"] > max(found["random"], before) + 0.3


def test_the_same_seed_trains_the_same_patch_and_leaves_the_model_alone(tmp_path, monkeypatch):
    model, images, labels = trained_cnn()
    made = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        monkeypatch.setenv("ADVLIB_CACHE", str(tmp_path / folder))
        with untouched(model, images, labels):
            made.append(train_patch(model, images, 2, size=4, steps=3, seed=seed, **TURNED))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"target": 10}, "target"),
        ({"target": -1}, "target"),
        ({"size": 13}, "size"),
        ({"size": 0}, "size"),
        ({"steps": 0}, "steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"step": 0.0}, "step"),
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"scale": (1.2, 1.0)}, "scale"),
        ({"scale": (1.0, 4.0)}, "size"),
        ({"rotation": 200.0}, "rotation"),
        ({"start": torch.zeros(1, 5, 5)}, "start"),
        ({"start": torch.full((1, 4, 4), 2.0)}, "start"),
        ({"images": torch.zeros(0, 1, 12, 12)}, "images"),
    ],
)
def test_impossible_arguments_are_named(options, named):
    model, images, _ = trained_cnn()
    given = {"images": images, "target": 1, "size": 4, "steps": 2} | options
    with pytest.raises(ValueError, match=f"^{named}: "):
        train_patch(model, given.pop("images"), given.pop("target"), **given)


def test_a_patch_of_other_channels_is_refused():
    where = place(1, size=3, image_size=(8, 8))
    with pytest.raises(ValueError, match=r"^patch: must be \[3, S, S\]"):
        apply_patch(rand(1, 3, 8, 8), rand(1, 3, 3), where)
