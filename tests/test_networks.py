import pytest
import torch
import torchvision
from safetensors.torch import save_file

from advlib import networks
from advlib.networks import layers, resnets


def test_base_cnn_is_the_papers_table_1():
    table = networks.summary(networks.build("base_cnn"))
    assert table["parameters"].sum() == 120_042
    counted = table[table["parameters"] > 0]
    assert counted["layer"].tolist() == ["Conv2d", "Conv2d", "Linear", "Linear"]
    assert counted["parameters"].tolist() == [832, 18_496, 100_384, 330]


@pytest.mark.parametrize("name", networks.NAMES)
def test_every_network_maps_pixels_to_logits(name):
    model = networks.build(name, classes=7, channels=3, size=32)
    with torch.no_grad():
        assert model(torch.rand(2, 3, 32, 32)).shape == (2, 7)
    assert not model.training
    assert isinstance(model[0], layers.Normalize)


@pytest.mark.parametrize("name", resnets.STAGES)
def test_a_wide_resnet_is_torchvisions_but_for_the_stem(name):
    network = networks.build(name, channels=3, size=32).network
    reference = getattr(torchvision.models, name)(num_classes=10)
    shapes, expected = (
        {key: tuple(value.shape) for key, value in net.state_dict().items()}
        for net in (network, reference)
    )
    assert expected.pop("conv1.weight") == (64, 3, 7, 7)
    assert shapes.pop("conv1.weight") == (64, 3, 3, 3)
    assert shapes == expected
    narrow = networks.build(name, channels=3, size=32, width=8).network
    counts = [sum(p.numel() for p in net.parameters()) for net in (narrow, network)]
    assert 1 / 70 < counts[0] / counts[1] < 1 / 50  # nearly as the square of the width
    strides = [layer.stride for layer in layers.convolutions(narrow).values()]
    assert strides == [layer.stride for layer in layers.convolutions(network).values()]


@pytest.mark.parametrize("name", ["vgg16", "vgg16_bn"])
def test_a_narrow_vgg_has_all_layers_and_a_share_of_the_channels(name):
    whole, narrow = (
        layers.convolutions(networks.build(name, channels=3, size=32, width=width))
        for width in (64, 16)
    )
    assert list(whole) == list(narrow)
    assert [4 * layer.out_channels for layer in narrow.values()] == [
        layer.out_channels for layer in whole.values()
    ]
    assert len(whole) == 13


@pytest.mark.parametrize(
    ("name", "size", "channels", "millions"),
    [
        ("vgg16", 32, 3, 14.72), ("vgg16_bn", 32, 3, 14.73), ("wide_resnet28_10", 32, 3, 36.48),
        ("mobilenet_v2", 32, 3, 2.24), ("cifar_conv", 32, 3, 0.466), ("fmnist_conv", 28, 1, 0.710),
        ("mnist_conv", 28, 1, 1.200),
    ],
)  # fmt: skip
def test_the_other_networks_have_their_known_size(name, size, channels, millions):
    model = networks.build(name, channels=channels, size=size)
    count = sum(p.numel() for p in model.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.006)


def test_a_wide_resnet_28_10_has_25_convolutions_and_halves_twice():
    convs = list(layers.convolutions(networks.build("wide_resnet28_10", channels=3)).values())
    assert len([c for c in convs if c.kernel_size == (3, 3)]) == 25
    assert [c.out_channels for c in convs][-1] == 640
    assert sum(c.stride == (2, 2) for c in convs) == 4  # two, and their shortcuts


def test_mobilenet_keeps_four_pixels_of_thirty_two():
    model = networks.build("mobilenet_v2", channels=3, size=32)
    with torch.no_grad():
        assert model.network.features(torch.rand(1, 3, 32, 32)).shape[2:] == (4, 4)


@pytest.mark.parametrize("name", ["torchvision:squeezenet1_0", "timm:legacy_xception"])
def test_a_librarys_network_is_unchanged_behind_the_normalisation(name):
    model = networks.build(name, classes=7, channels=3, size=71, **networks.IMAGENET)
    library, _, which = name.partition(":")
    reference = (
        torchvision.models.get_model(which, num_classes=7)
        if library == "torchvision"
        else pytest.importorskip("timm").create_model(which, num_classes=7)
    )
    reference.load_state_dict(model.network.state_dict())
    images = torch.rand(2, 3, 71, 71)
    mean, std = (torch.tensor(networks.IMAGENET[what]).view(3, 1, 1) for what in ("mean", "std"))
    with torch.no_grad():
        found, expected = model(images), reference.eval()((images - mean) / std)
    torch.testing.assert_close(found, expected)


def test_weights_come_from_a_file(tmp_path):
    origin = networks.build("base_cnn", seed=5)
    file = tmp_path / "base.safetensors"
    save_file({k: v.contiguous() for k, v in origin.network.state_dict().items()}, file)
    loaded = networks.build("base_cnn", weights=str(file))
    images = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        assert torch.equal(loaded(images), origin(images))
    with pytest.raises(ValueError, match=r"^weights: .*base\.safetensors is not for dense_cnn: "):
        networks.build("dense_cnn", weights=str(file))
    file.write_bytes(b"\x80pickled")
    with pytest.raises(ValueError, match=r"^weights: .*base\.safetensors is no safetensors file"):
        networks.build("base_cnn", weights=str(file))


def test_normalisation_is_the_first_layer():
    plain = networks.build("shallow_cnn", channels=3, seed=4)
    shifted = networks.build("shallow_cnn", channels=3, seed=4, mean=(0.5, 0.4, 0.3), std=0.25)
    images = torch.rand(4, 3, 28, 28)
    by_hand = (images - torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1)) / 0.25
    with torch.no_grad():
        torch.testing.assert_close(shifted(images), plain(by_hand))


def test_weights_follow_from_the_seed_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, again, other = (networks.build("base_cnn", seed=s) for s in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    weights = [m.network[0].weight for m in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"name": "lenet"}, "model"),
        ({"name": "torchvision:lenet"}, "model"),
        ({"name": "torchvision:fasterrcnn_resnet50_fpn"}, "model"),
        ({"name": "torchvision:alexnet"}, "channels"),
        ({"name": "base_cnn", "weights": "default"}, "weights"),
        ({"name": "base_cnn", "weights": "nowhere.safetensors"}, "weights"),
        ({"name": "dense_cnn", "size": 7}, "size"),
        ({"name": "base_cnn", "std": 0.0}, "std"),
        ({"name": "base_cnn", "mean": (0.1, 0.2)}, "mean"),
        ({"name": "base_cnn", "dropout": 1.0}, "dropout"),
        ({"name": "resnet18", "width": 0}, "width"),
        ({"name": "vgg16", "size": 28}, "size"),
        ({"name": "fmnist_conv", "size": 16}, "size"),
    ],
)
def test_impossible_options_are_named(options, named):
    with pytest.raises(ValueError, match=f"^{named}: "):
        networks.build(**options)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dropout_drops_the_rate_and_keeps_the_mean(layout):
    layer = layers.Dropout(0.25).train()
    ones = torch.ones(64, 32, 14, 14).contiguous(memory_format=layout).requires_grad_()
    torch.manual_seed(0)
    dropped = layer(ones)
    assert (dropped == 0).double().mean().item() == pytest.approx(0.25, abs=0.003)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    dropped.sum().backward()
    assert torch.equal(ones.grad, dropped.detach())
    assert layer.eval()(ones) is ones


def test_pooling_before_relu_changes_nothing():
    images = torch.randn(2, 3, 8, 8)
    pool, relu = torch.nn.MaxPool2d(2), torch.nn.ReLU()
    assert torch.equal(pool(relu(images)), relu(pool(images)))


def test_weights_are_channels_last_those_of_grey_images_too():
    """`contiguous` would leave them as they are, and the last bits of all results would differ."""
    first = networks.build("base_cnn").network[0].weight
    assert first.shape == (32, 1, 5, 5)
    assert first.stride() == (25, 1, 5, 1)


def test_a_sketch_takes_no_memory_and_tries_the_shape():
    shape = {"classes": 10, "channels": 3, "size": 32}
    for name in (*networks.NAMES, "torchvision:regnet_y_400mf"):
        made = networks.sketch(name, **shape)
        weights = {key: value.shape for key, value in made.state_dict().items()}
        assert {value.device.type for value in made.state_dict().values()} == {"meta"}
        built = networks.build(name, **shape).state_dict()
        assert weights == {key: value.shape for key, value in built.items()}


@pytest.mark.parametrize(
    ("name", "changed", "says"),
    [
        (
            "resnet18",
            {"width": 50_000},
            "width, size: training resnet18 at width 50000 and size 32",
        ),
        ("mnist_conv", {"size": 1000, "width": 64}, "width, size: training mnist_conv at width 64"),
        ("vgg16", {"size": 16}, "size: must be at least 32 for this network, got 16"),
        (
            "torchvision:alexnet",
            {},
            "size: torchvision:alexnet takes no images of 32 pixels (Given",
        ),
        (
            "torchvision:vit_b_16",
            {},
            "size: torchvision:vit_b_16 takes no images of 32 pixels (Wron",
        ),
        ("torchvision:alexnet", {"channels": 1}, "channels: torchvision's networks take 3, got 1"),
    ],
)
def test_a_sketch_names_what_a_network_does_not_take(name, changed, says, monkeypatch):
    monkeypatch.setattr(networks.devices, "memory", lambda: 16 * 2**30)
    with pytest.raises(ValueError, match="^") as refused:
        networks.sketch(name, **({"classes": 10, "channels": 3, "size": 32} | changed))
    assert str(refused.value).startswith(says)
