import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from advlib import cache, networks
from advlib.attacks import pgd
from advlib.data import pixels
from advlib.defenses import dominant_filters as df
from advlib.networks import cnns
from advlib.networks.layers import convolutions
from advlib.papers import paper_rows
from advlib.training import Recipe

CNNS = tuple(cnns.FILTERS)


def test_table_12_comes_out_of_the_papers_way_to_count():
    """Seven of nine cells to the last digit; the other two are cut off where they should round."""
    table = paper_rows("dominant_filters").query("table == '12'")
    off = {}
    for row in table.itertuples():
        ours = round(100 * df.untrained_share(networks.build(row.model), row.share), 2)
        if ours != round(100 * row.value, 2):
            off[row.model, row.share] = (ours, round(100 * row.value, 2))
    assert off == {("base_cnn", 0.2): (12.82, 12.81), ("shallow_cnn", 0.5): (4.55, 4.54)}


@pytest.mark.parametrize("name", CNNS)
def test_untrained_share_is_what_split_freezes(name):
    model = networks.build(name)
    split = df.split(model, df.random_filters(model, 0.1, seed=0))
    trained = sum(p.numel() for p in split.parameters() if p.requires_grad)
    whole = sum(p.numel() for p in model.parameters())
    assert 1 - trained / whole == pytest.approx(df.untrained_share(model, 0.1))


@pytest.mark.parametrize("name", CNNS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_split_has_the_outputs_and_gradients_of_the_whole(name, layout):
    model = networks.build(name, seed=1).to(memory_format=layout)
    filters = df.random_filters(model, 0.2, seed=1)
    split = df.split(model, filters)
    images, labels = torch.rand(6, 1, 28, 28), torch.arange(6)
    torch.testing.assert_close(split(images), model(images))
    for network in (model, split):
        F.cross_entropy(network(images), labels).backward()
    for layer, chosen in filters.items():
        plain, part = model.get_submodule(layer), split.get_submodule(layer)
        torch.testing.assert_close(part.weight.grad, plain.weight.grad[chosen])
        torch.testing.assert_close(part.bias.grad, plain.bias.grad[chosen])
    torch.testing.assert_close(split.network[-1].weight.grad, model.network[-1].weight.grad)


def test_split_gives_an_attack_the_whole_input_gradient():
    model = networks.build("dense_cnn", seed=2)
    split = df.split(model, df.random_filters(model, 0.1, seed=0))
    images, labels = torch.rand(4, 1, 28, 28), torch.arange(4)
    options = {"eps": 0.1, "step": 0.03, "steps": 3, "random_start": False}
    torch.testing.assert_close(
        pgd(split, images, labels, **options), pgd(model, images, labels, **options)
    )


def test_the_images_gradient_is_whole_even_while_the_filters_learn():
    model = networks.build("dense_cnn", seed=2)
    split = df.split(model, df.random_filters(model, 0.1, seed=0))
    images, labels = torch.rand(4, 1, 28, 28), torch.arange(4)
    split(images)  # one pass without their gradient must not linger
    gradients = []
    for network in (model, split):
        asked = images.clone().requires_grad_()
        F.cross_entropy(network(asked), labels).backward()
        gradients.append(asked.grad)
    torch.testing.assert_close(*gradients)


def test_no_gradient_goes_down_to_filters_that_are_not_trained():
    model = networks.build("base_cnn", seed=2)
    split = df.split(model, df.random_filters(model, 0.1, seed=0))
    handed = []
    split.network[3].register_full_backward_hook(lambda _m, _i, out: handed.append(out[0]))
    F.cross_entropy(split(torch.rand(4, 1, 28, 28)), torch.arange(4)).backward()
    reached = handed[0].abs().sum((0, 2, 3)).nonzero()[:, 0].tolist()
    assert set(split.network[0].filters.tolist()) <= set(reached)
    assert len(reached) <= df.BLOCK < model.network[0].out_channels


def test_split_works_without_bias_and_with_stride():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, stride=2, bias=False), nn.ReLU(), nn.Conv2d(6, 4, 3, dilation=2)
    )
    filters = {"0": torch.tensor([1, 4]), "2": torch.tensor([3])}
    split = df.split(model, filters)
    images = torch.rand(3, 2, 15, 15)
    split(images).square().sum().backward()
    model(images).square().sum().backward()
    for name, chosen in filters.items():
        whole = model.get_submodule(name).weight.grad[chosen]
        torch.testing.assert_close(split.get_submodule(name).weight.grad, whole)


def test_hardening_moves_the_chosen_filters_and_the_head_alone(digits, shallow):
    before = cache.digest(shallow)
    filters = df.random_filters(shallow, 0.1, seed=3)
    hardened, curves = df.harden(shallow, digits.train, Recipe(epochs=1), filters=filters)
    assert curves["epoch"].tolist() == [1]
    assert cache.digest(shallow) == before
    for name, layer in convolutions(hardened).items():
        moved = (layer.weight != convolutions(shallow)[name].weight).flatten(1).any(1)
        assert set(moved.nonzero()[:, 0].tolist()) == set(filters[name].tolist())
    assert not torch.equal(hardened.network[-1].weight, shallow.network[-1].weight)
    frozen, _ = df.harden(shallow, digits.train, Recipe(epochs=1), filters=filters, head=False)
    assert torch.equal(frozen.network[-1].weight, shallow.network[-1].weight)


def test_merge_gives_back_the_trained_network():
    model = networks.build("dense_cnn")
    split = df.split(model, df.random_filters(model, 0.2, seed=0))
    with torch.no_grad():
        for parameter in split.parameters():
            parameter.add_(0.01)
    merged = df.merge(split, model)
    images = torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(merged(images), split(images))
    assert merged.state_dict().keys() == model.state_dict().keys()


def test_effects_are_the_change_after_the_relu():
    model = networks.build("base_cnn", seed=5)
    before, after = torch.rand(7, 1, 28, 28), torch.rand(7, 1, 28, 28)
    moved = df.effects(model, before, after, batch_size=3)
    assert {name: tuple(t.shape) for name, t in moved.items()} == {
        "network.0": (7, 32), "network.4": (7, 64)
    }  # fmt: skip
    layer = model.network[0]
    by_hand = (layer(after).relu() - layer(before).relu()).abs().mean((2, 3))
    torch.testing.assert_close(moved["network.0"], by_hand)
    assert not model.network[0]._forward_hooks


def test_dominant_filters_are_those_picked_most_often():
    moved = torch.tensor([[5.0, 1, 0, 0], [4.0, 0, 1, 0], [0.0, 9, 1, 0], [3.0, 1, 0, 0]])
    counts = df.top_counts(moved, torch.tensor([0, 0, 1, 1]), 0.25)
    assert counts.tolist() == [[2, 0, 0, 0], [1, 1, 0, 0]]
    assert df.dominant({"layer": moved}, 0.25)["layer"].tolist() == [0]
    assert df.dominant({"layer": moved}, 0.5)["layer"].tolist() == [0, 1]


def test_a_tie_goes_to_the_filter_that_is_moved_further():
    moved = torch.tensor([[1.0, 0, 0], [0.0, 0, 7]])
    assert df.dominant({"layer": moved}, 0.3)["layer"].tolist() == [2]


@pytest.mark.parametrize(("filters", "expected"), [(16, 2), (32, 4), (64, 7), (30, 3), (10, 1)])
def test_a_share_is_rounded_up(filters, expected):
    assert df.kept(0.1, filters) == expected


def test_overlap_by_hand():
    same = [torch.tensor([1, 2]), torch.tensor([2, 1])]
    assert df.overlap(same) == 1
    assert df.overlap([*same, torch.tensor([2, 3])]) == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"network.0": torch.tensor([0])}, "network.4"),
        ({"network.0": torch.tensor([0, 0]), "network.4": torch.tensor([1])}, "distinct"),
        ({"network.0": torch.tensor([16]), "network.4": torch.tensor([1])}, "0 to 15"),
        ({"network.0": torch.tensor([], dtype=torch.int64), "network.4": torch.tensor([1])}, "one"),
    ],
)
def test_impossible_filters_are_refused(shallow, filters, message):
    with pytest.raises(ValueError, match=f"^filters: .*{message}"):
        df.split(shallow, filters)


@pytest.mark.parametrize("share", [0.0, 1.1, -0.1])
def test_impossible_shares_are_refused(shallow, share):
    with pytest.raises(ValueError, match="^share: "):
        df.random_filters(shallow, share, seed=0)


def test_real_attacks_move_some_filters_more(digits, shallow):
    images = pixels(digits.test.images[:100])
    adversarial = pgd(shallow, images, digits.test.labels[:100], eps=0.3, step=0.05, steps=10)
    moved = df.effects(shallow, images, adversarial)["network.0"].mean(0)
    assert moved.max() > 2 * moved.median()


def test_the_copy_is_not_the_model(shallow):
    before = copy.deepcopy(shallow.state_dict())
    split = df.split(shallow, df.random_filters(shallow, 0.1, seed=0))
    with torch.no_grad():
        for parameter in split.parameters():
            parameter.zero_()
    assert all(torch.equal(before[name], t) for name, t in shallow.state_dict().items())
