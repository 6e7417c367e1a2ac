import pytest
import torch
import torch.nn.functional as F

from advlib.augmentation import flip_and_shift


def altered(images, *, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return flip_and_shift(**options)(None, images, None, 0.0, generator)


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


def test_a_negative_shift_is_refused():
    with pytest.raises(ValueError, match="^shift: "):
        flip_and_shift(shift=-1)
