"""The primer's steps: the linear network by hand, the signs of a hidden gradient."""

import pandas as pd
import pytest
import torch

from advlib.attacks import fgsm
from advlib.data import Split, pixels
from advlib.studies import primer


@pytest.fixture
def line(digits):
    """A linear network with weights of its own, and the pale test images of two classes."""
    _, two = primer.two_classes(digits, [3, 8], 0.1)
    network = primer.linear_network(two)
    with torch.no_grad():
        network[1].weight.normal_(generator=torch.Generator().manual_seed(0))
    return network, two


def test_pale_images_have_room_for_the_ball(line, digits):
    _, two = line
    assert two.images.min() >= 0.1 - 1e-6
    assert two.images.max() <= 0.9 + 1e-6
    known = digits.test.labels
    assert len(two.labels) == ((known == 3) | (known == 8)).sum()
    assert two.labels.sum() == (known == 8).sum()
    with pytest.raises(ValueError, match="^pair: there is no image"):
        primer.two_classes(digits, [11, 12], 0.1)


def test_margins_are_positive_where_the_guess_is_right(line):
    network, two = line
    right = network(two.images).argmax(1) == two.labels
    assert ((primer.margins(network, two) > 0) == right).all()
    assert 0 < right.sum() < len(right)


def test_fgsm_takes_off_eps_times_the_l1_norm(line):
    network, two = line
    found = Split(fgsm(network, two.images, two.labels, eps=0.1), two.labels)
    fall = primer.margins(network, two) - primer.margins(network, found)
    w, _ = primer.line(network)
    assert fall.numpy() == pytest.approx(0.1 * w.abs().sum().item(), rel=1e-5)


def test_an_attack_reaches_further_than_noise_by_the_ratio_of_the_norms(line):
    told = dict(primer.reach(*line, 0.1))
    assert told["pixels"] == 256
    assert told["by hand"] == pytest.approx(16 * (2 / torch.pi) ** 0.5, rel=0.05)  # normal weights
    assert told["measured"] == pytest.approx(told["by hand"], rel=0.1)


def test_what_strays_is_told():
    split = Split(torch.full((2, 1, 3, 3), 0.5), torch.zeros(2, dtype=torch.int64))
    assert dict(primer.strayed(split, split)) == {"largest change": 0, "outside the box": 0}
    moved = Split(split.images + torch.tensor([0.1, 0.75]).view(2, 1, 1, 1), split.labels)
    told = dict(primer.strayed(split, moved))
    assert told == pytest.approx({"largest change": 0.75, "outside the box": 0.25})


def test_the_landscape_holds_the_image_and_fgsm_s(shallow, digits):
    one = primer.only(digits.test, 0)
    losses, lead = primer.landscape(shallow, one, eps=0.2, seed=0, points=5)
    image = pixels(one.images)
    found = Split(fgsm(shallow, image, one.labels, eps=0.2), one.labels)
    assert losses[2, 2].item() == pytest.approx(primer.mean_loss(shallow, one), abs=1e-5)
    assert losses[2, 4].item() == pytest.approx(primer.mean_loss(shallow, found), rel=1e-4)
    assert losses[2, 4] > losses[2, 2]
    label = shallow(image)[0, one.labels.item()]
    assert (lead[2, 2] > 0) == (label == shallow(image).max())


def test_the_signs_are_of_the_attacker_who_suspects_nothing():
    rows = pd.DataFrame(
        [
            {
                "defense": defense, "attack": attack, "eps": eps, "protocol": protocol,
                "gradient": gradient, "metric": metric, "value": value,
            }
            for defense, of in (("none", 0.0), ("hidden gradient", 0.5))
            for attack, eps, protocol, gradient, metric, value in (
                ("none", None, "none", "none", "zero gradients", of),
                ("fgsm", 0.1, "white-box", "float32", "accuracy", of + 0.1),
                ("pgd", 0.1, "white-box", "float32", "accuracy", of + 0.2),
                ("pgd", 0.1, "white-box", "exact", "accuracy", 0.9),
                ("pgd", 0.1, "noise", "none", "accuracy", 0.3),
                ("pgd", 0.1, "transfer", "exact", "accuracy", 0.4),
                ("pgd", 0.5, "white-box", "float32", "accuracy", of),
            )
        ]
    )  # fmt: skip
    table = primer.signs(rows, eps=0.1, widest=0.5)
    assert table["undefended"].to_list() == pytest.approx([0, 10, 20, 30, 40, 0])
    assert table["hidden gradient"].to_list() == pytest.approx([50, 60, 70, 30, 40, 50])
