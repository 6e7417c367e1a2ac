import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import v2 as transforms

from advlib import networks, training
from advlib.augmentation import (
    _warp,
    chain,
    flip_and_shift,
    manifold_mixup,
    mixup,
    random_erasing,
    varied,
)
from advlib.predictions import correct


def applied(prepare, images, labels=None, *, model=None, seed=0):
    dice = torch.Generator().manual_seed(seed)
    return prepare(model, images, labels, training.Context(0.0, dice, dice))


def altered(images, *, seed=0, **options):
    return applied(flip_and_shift(**options), images, seed=seed)[0]


def test_every_image_is_a_crop_of_its_padded_self_or_of_its_mirror_image():
    images = torch.rand(600, 3, 6, 5)
    made = altered(images, shift=2)
    seen = set()
    for image, result in zip(images, made, strict=True):
        padded = F.pad(image, (2,) * 4)
        crops = {
            (flip, top, left): (padded[:, top : top + 6, left : left + 5]).flip([2] * flip)
            for flip in (0, 1)
            for top in range(5)
            for left in range(5)
        }
        matches = [how for how, crop in crops.items() if torch.equal(crop, result)]
        assert len(matches) == 1
        seen.update(matches)
    assert len(seen) == 50


def test_without_flip_and_shift_nothing_changes():
    images = torch.rand(4, 1, 8, 8)
    assert torch.equal(altered(images, flip=False, shift=0), images)
    flipped = altered(images, shift=0)
    same = (flipped == images).flatten(1).all(1)
    assert torch.equal(flipped[~same], images[~same].flip(3))


def test_the_generator_decides():
    images = torch.rand(50, 1, 8, 8)
    assert torch.equal(altered(images), altered(images))
    assert not torch.equal(altered(images), altered(images, seed=1))


def test_a_chain_hands_each_step_what_the_one_before_made():
    images, labels = torch.rand(9, 1, 6, 6), torch.arange(9)
    steps = [flip_and_shift(shift=1), mixup(classes=9)]
    dice = torch.Generator().manual_seed(5)
    context = training.Context(0.0, dice, dice)
    expected = steps[1](None, *steps[0](None, images, labels, context), context)
    made = applied(chain(*steps), images, labels, seed=5)
    assert all(map(torch.equal, made, expected))
    assert made[1].shape == (9, 9)  # mixup's labels, of the moved images


def test_a_negative_shift_is_refused():
    with pytest.raises(ValueError, match="^shift: "):
        flip_and_shift(shift=-1)


def test_mixup_takes_images_and_labels_in_the_same_proportion():
    """With class k as an image of constant value k, an image tells its label's mean."""
    labels = torch.arange(5).repeat(8)
    images = labels[:, None, None, None].float().expand(-1, 1, 2, 2) / 4
    weights = []
    for seed in range(20):
        made, soft = applied(mixup(classes=5, alpha=0.4), images, labels, seed=seed)
        torch.testing.assert_close(soft.sum(1), torch.ones(40))
        torch.testing.assert_close(made[:, 0, 0, 0], soft @ torch.arange(5.0) / 4)
        weights.append(soft[soft > 0].min().item())
    assert len(set(weights)) > 10
    # Beta(0.4, 0.4) has more than a third of its mass within a tenth of 0 or 1.
    assert sum(weight < 0.1 for weight in weights) >= 5


def test_manifold_mixup_mixes_one_forward_pass_at_the_named_layer():
    model = networks.build("shallow_cnn", size=8).eval()
    images, labels = torch.rand(6, 1, 8, 8), torch.arange(6)
    seen = {}
    layer = model.get_submodule("network.0")
    plain = layer(images)
    prepare = manifold_mixup(classes=10, layers=["network.0"])
    made, soft = applied(prepare, images, labels, model=model)
    assert torch.equal(made, images)
    layer.register_forward_hook(lambda _m, _i, states: seen.setdefault(len(seen), states))
    with torch.no_grad():
        model(made)
        model(made)
    expected = soft[:, :6] @ plain.flatten(1)  # the labels' weights mix the states
    torch.testing.assert_close(seen[0].flatten(1), expected)
    torch.testing.assert_close(seen[1], plain)
    assert not torch.allclose(seen[0], plain)


def test_manifold_mixup_draws_among_its_layers():
    model = networks.build("shallow_cnn", size=8)
    prepare = manifold_mixup(classes=10, layers=["", "network.0"])
    images, labels = torch.rand(6, 1, 8, 8), torch.arange(6)
    same = [
        torch.equal(applied(prepare, images, labels, model=model, seed=seed)[0], images)
        for seed in range(20)
    ]
    assert 4 < sum(same) < 16


@pytest.mark.parametrize("prepare", [
    mixup(classes=10), manifold_mixup(classes=10, layers=["", "network.0", "network.4"]),
    random_erasing(),
], ids=["mixup", "manifold mixup", "random erasing"])  # fmt: skip
def test_a_network_learns_with_it(digits, prepare):
    model = networks.build("shallow_cnn", size=16)
    recipe = training.Recipe(epochs=12, prepare=prepare)
    training.fit(model, digits.train, recipe, validation=digits.validation)
    assert not any(module._forward_hooks for module in model.modules())
    assert correct(model, digits.validation).float().mean() > 0.8


def test_erased_rectangles_are_as_large_and_as_many_as_asked_for():
    images = torch.full((2000, 3, 32, 24), 2.0)  # outside the box, so noise shows
    made, _ = applied(random_erasing(probability=0.7, area=(0.1, 0.3), aspect=0.5), images)
    erased = made != 2
    hit = erased.flatten(1).any(1)
    assert hit.float().mean().item() == pytest.approx(0.7, abs=0.04)
    assert (erased[:, 0] == erased[:, 1]).all()
    assert made[erased].min() >= 0
    assert made[erased].max() <= 1
    assert made[erased].mean().item() == pytest.approx(0.5, abs=0.01)
    for rectangle in erased[hit, 0]:
        tall, wide = rectangle.any(1).sum().item(), rectangle.any(0).sum().item()
        assert rectangle.sum() == tall * wide  # a rectangle indeed
        assert 0.08 <= tall * wide / (32 * 24) <= 0.33
        assert 0.4 <= tall / wide <= 2.5
    assert torch.equal(applied(random_erasing(probability=0), images)[0], images)


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (mixup, "alpha", 0), (mixup, "alpha", float("nan")),
        (random_erasing, "probability", 1.5), (random_erasing, "area", (0.4, 0.1)),
        (random_erasing, "area", (0.0, 0.1)), (random_erasing, "aspect", 0),
        (random_erasing, "aspect", 2.0),
    ],
)  # fmt: skip
def test_impossible_settings_are_named(make, name, value):
    options = {"classes": 10} if make is mixup else {}
    with pytest.raises(ValueError, match=f"^{name}: "):
        make(**options, **{name: value})


def test_layers_that_are_none_are_named():
    with pytest.raises(ValueError, match="^layers: must"):
        manifold_mixup(classes=10, layers=[])
    prepare = manifold_mixup(classes=10, layers=["network.99"])
    with pytest.raises(ValueError, match=r"^layers: .*network\.99"):
        applied(
            prepare, torch.rand(2, 1, 8, 8), torch.arange(2), model=networks.build("shallow_cnn")
        )


NOTHING = {
    "rotate": 0,
    "shift": 0,
    "scale": 0,
    "skew": 0,
    "flip": False,
    "brightness": 0,
    "noise": 0,
}


def test_variations_of_no_amount_change_nothing():
    images = torch.rand(4, 3, 9, 9)
    made, labels = applied(varied(**NOTHING), images, torch.arange(4))
    torch.testing.assert_close(made, images)
    assert torch.equal(labels, torch.arange(4))


@pytest.mark.parametrize(
    "how",
    [
        {"angle": 30.0}, {"right": 0.25}, {"down": 0.125}, {"size": 1.3}, {"size": 0.8},
        {"skew": 20.0}, {"mirrored": True}, {"angle": -20.0, "size": 1.2, "down": 0.125},
    ],
    ids=str,
)  # fmt: skip
def test_the_warp_is_torchvisions(how):
    images = torch.rand(2, 3, 16, 16)
    settings = {"angle": 0.0, "right": 0.0, "down": 0.0, "size": 1.0, "skew": 0.0} | how
    mirrored = settings.pop("mirrored", False)
    warp = _warp(
        **{name: torch.full((2,), value) for name, value in settings.items()},
        mirrored=torch.full((2,), mirrored),
    )
    grid = F.affine_grid(warp, list(images.shape), align_corners=False)
    found = F.grid_sample(images, grid, align_corners=False)
    start = images.flip(3) if mirrored else images
    shift = [16 * settings["right"], 16 * settings["down"]]
    expected = transforms.functional.affine(
        start, settings["angle"], shift, settings["size"], [settings["skew"], 0.0],
        transforms.InterpolationMode.BILINEAR,
    )  # fmt: skip
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_brightness_and_noise_have_their_amount():
    images = torch.full((400, 1, 8, 8), 0.5)
    bright, _ = applied(varied(**NOTHING | {"brightness": 0.4}), images)
    levels = bright[:, 0, 0, 0]
    assert levels.min() >= 0.3
    assert levels.max() <= 0.7
    assert levels.std().item() == pytest.approx(0.2 / 3**0.5, abs=0.01)
    noisy, _ = applied(varied(**NOTHING | {"noise": 0.05}), images)
    assert (noisy - images).std().item() == pytest.approx(0.05, abs=0.002)
    flipped, _ = applied(
        varied(**NOTHING | {"flip": True}), torch.rand(1, 1, 8, 8).expand(400, -1, -1, -1)
    )
    same = (flipped == flipped[0]).flatten(1).all(1).float().mean().item()
    assert same == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("name", ["rotate", "shift", "scale", "skew", "brightness", "noise"])
@pytest.mark.parametrize("amount", [-0.1, 200, float("nan")])
def test_impossible_amounts_are_named(name, amount):
    with pytest.raises(ValueError, match=f"^{name}: "):
        varied(**{name: amount})
