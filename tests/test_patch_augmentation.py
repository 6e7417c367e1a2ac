"""The nine operations against slow references, and which pixels of which image they reach."""

import math
import statistics

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch

from advlib import cache, data
from advlib.defenses import patch_augmentation as pa
from advlib.training import Recipe

every_operation = pytest.mark.parametrize("name", pa.OPERATIONS)


def draw(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def changed(name, patches, uniform=None):
    uniform = draw(*patches.shape, seed=9).clamp(1e-6, 1 - 1e-6) if uniform is None else uniform
    return pa.OPERATIONS[name](patches, lambda: uniform)


# Each operation against a reference written pixel by pixel


def cubic(distance, a=-0.75):
    """Keys's kernel, the bicubic interpolation of torch."""
    d = abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def rotated(patch):
    size, angle = len(patch), math.radians(10)
    made, centre = np.zeros_like(patch), (size - 1) / 2
    for row in range(size):
        for column in range(size):
            x, y = column - centre, row - centre
            from_x = x * math.cos(angle) + y * math.sin(angle) + centre
            from_y = -x * math.sin(angle) + y * math.cos(angle) + centre
            for r in range(math.floor(from_y) - 1, math.floor(from_y) + 3):
                for c in range(math.floor(from_x) - 1, math.floor(from_x) + 3):
                    weight = cubic(from_y - r) * cubic(from_x - c)
                    inside = patch[min(max(r, 0), size - 1), min(max(c, 0), size - 1)]
                    made[row, column] += weight * inside
    return made


def test_rotation():
    patches = draw(2, 3, 7, 7)
    expected = [[rotated(c.double().numpy()) for c in patch] for patch in patches]
    torch.testing.assert_close(
        changed("rotation", patches).double(), torch.tensor(np.array(expected)), atol=1e-5, rtol=0
    )


def test_rotation_is_clockwise():
    patch = torch.zeros(1, 1, 11, 11)
    patch[0, 0, 0, 5] = 1  # top, in the middle
    made = changed("rotation", patch)[0, 0]
    assert made[:2, 6:].sum() > made[:2, :5].sum()


def test_translation():
    patches = draw(2, 3, 7, 7)
    made = changed("translation", patches)
    for row in range(7):
        for column in range(7):
            expected = (
                patches[:, :, row - 2, column - 2]
                if min(row, column) >= 2
                else patches.mean((2, 3))
            )
            torch.testing.assert_close(made[:, :, row, column], expected)


def test_gaussian_noise():
    patches, uniform = draw(2, 3, 7, 7), draw(2, 3, 7, 7, seed=1).clamp(0.001, 0.999)
    normal = statistics.NormalDist(0, math.sqrt(0.05))
    noise = changed("Gaussian noise", patches, uniform) - patches
    for found, u in zip(noise.flatten().tolist(), uniform.flatten().tolist(), strict=True):
        assert found == pytest.approx(normal.inv_cdf(u), abs=1e-5)


def test_poisson_noise():
    levels = torch.tensor([0, 1, 2, 17, 100, 254, 255]).repeat(49, 1).T.reshape(7, 1, 7, 7)
    uniform = draw(7, 1, 7, 7, seed=2).clamp(1e-6, 1 - 1e-6)
    made = changed("Poisson noise", levels / 255, uniform) * 255
    expected = scipy.stats.poisson.ppf(uniform.double().numpy(), levels.numpy())
    torch.testing.assert_close(made.double(), torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_salt_and_pepper():
    patches, uniform = draw(2, 3, 7, 7).clamp(0.1, 0.9), draw(2, 3, 7, 7, seed=3)
    made = changed("salt and pepper", patches, uniform)
    for found, value, u in zip(*(t.flatten() for t in (made, patches, uniform)), strict=True):
        assert found == (0 if u < 0.25 else 1 if u < 0.5 else value)


def test_speckle_noise():
    patches, uniform = draw(50, 3, 7, 7), draw(50, 3, 7, 7, seed=4)
    noise = (changed("speckle noise", patches, uniform) - patches) / patches
    assert noise.mean() == pytest.approx(0, abs=0.005)
    assert noise.var() == pytest.approx(0.05, rel=0.03)
    assert noise.abs().max() <= math.sqrt(0.15) + 1e-4  # uniform, not normal


def test_blur():
    patches = draw(2, 3, 9, 9)
    expected = scipy.ndimage.gaussian_filter(
        patches.double().numpy(), sigma=(0, 0, 1.5, 1.5), mode="mirror", radius=(0, 0, 3, 3)
    )
    torch.testing.assert_close(
        changed("blur", patches).double(), torch.from_numpy(expected), atol=1e-5, rtol=0
    )


def test_mask_and_flip():
    patches = draw(200, 2, 5, 5)
    assert not changed("mask", patches).any()
    made = changed("flip", patches)
    sideways = (made == patches.flip(3)).flatten(1).all(1)
    over = (made == patches.flip(2)).flatten(1).all(1)
    assert (sideways ^ over).all()
    assert 60 < sideways.sum() < 140


# Which pixels, which images


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
@every_operation
def test_only_the_patches_change_and_the_type_stays(name, kind):
    images = torch.randint(0, 256, (40, 3, 32, 30), generator=torch.Generator().manual_seed(0))
    images = images.to(torch.uint8) if kind == torch.uint8 else images / 255
    made = pa.alter(images, patch=7, patches=2, operation=name)
    assert made.dtype == kind
    assert made.min() >= 0
    assert made.max() <= (255 if kind == torch.uint8 else 1)
    where = (made != images).any(0).any(0)
    inside = torch.zeros_like(where)
    inside[12:19, 8:22] = True  # 7 x 14 in the middle of 32 x 30
    assert where[inside].float().mean() > 0.9
    assert not where[~inside].any()


def test_corners_stand_side_by_side_about_the_centre():
    assert pa.corners(32, 32, 7, 1) == [(12, 12)]
    assert pa.corners(32, 32, 11, 2) == [(10, 5), (10, 16)]


def test_an_image_fares_the_same_in_any_batch_and_epoch():
    images = torch.randint(0, 256, (5000, 1, 16, 16), dtype=torch.uint8)
    how = {"patch": 7, "patches": 2, "seed": 3}
    whole = pa.alter(images, **how)
    assert torch.equal(pa.alter(images, **how), whole)
    some = torch.randperm(5000)[:300]
    assert torch.equal(pa.alter(images[some], some, **how), whole[some])
    other = pa.alter(images, **(how | {"seed": 4}))
    assert (other != whole).flatten(1).any(1).float().mean() > 0.5


def test_every_operation_is_drawn_as_often():
    images = torch.full((9000, 1, 8, 8), 0.5)
    images[:, :, :, :4] = 0.3
    images[:, :, 3] = 0.7
    made = pa.alter(images, patch=8, patches=1)
    counts = {}
    for name in ("rotation", "translation", "blur", "mask"):
        pattern = pa.alter(images[:1], patch=8, patches=1, operation=name)
        counts[name] = (made - pattern).abs().flatten(1).amax(1).lt(1e-6).sum().item()
    assert all(880 < count < 1120 for count in counts.values())  # 1,000 each, four deviations


def test_the_numbers_are_uniform_and_unrelated():
    numbers = pa._uniform(pa._mixed(torch.arange(200_000)))
    assert scipy.stats.kstest(numbers.numpy(), "uniform").pvalue > 0.001
    assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 0.01


def test_splitmix_is_the_published_one():
    """The first outputs of SplitMix64 from the state 1234567, from its reference code."""
    states = 1234567 + torch.arange(3) * pa.GOLDEN
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [n % 2**64 for n in pa._mixed(states).tolist()] == expected


def test_the_papers_name_of_a_variant_says_its_patches():
    assert pa.parse("11-P2") == {"patch": 11, "patches": 2}
    for wrong in ("7P1", "7-P0", "7-Q1", "-P1", "7-P1 "):
        with pytest.raises(ValueError, match="^variant: "):
            pa.parse(wrong)


def test_hardening_learns_both_and_leaves_the_model_alone(digits, shallow):
    before = cache.digest(shallow)
    few = data.Split(*(part[:64] for part in digits.train))
    recipe = Recipe(epochs=1, optimizer="adam")
    hardened, _ = pa.harden(shallow, few, recipe, patch=7, patches=2)
    assert cache.digest(shallow) == before
    assert not torch.equal(hardened.network[0].weight, shallow.network[0].weight)


@pytest.mark.parametrize(
    ("named", "options"),
    [
        ("patch", {"patch": 17}),
        ("patch", {"patch": 11, "patches": 2}),
        ("patch", {"patch": 3}),
        ("patch", {"patch": 7.0}),
        ("patches", {"patches": 0}),
        ("operation", {"operation": "sharpen"}),
        ("numbers", {"numbers": torch.arange(3)}),
    ],
)
def test_impossible_settings_are_named(named, options):
    settings = {"patch": 7, "patches": 1} | options
    with pytest.raises(ValueError, match=f"^{named}: "):
        pa.alter(torch.zeros(2, 1, 16, 16), **settings)
