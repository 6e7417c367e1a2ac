"""Networks: pixels in [0, 1] go in, logits come out.

Every model is `normalize` (registered buffers) followed by `network`, so an attack's `eps` is in
pixel units whatever statistics the network was trained with.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from advlib.layers import Dropout, Normalize

# Filters of each convolution in paper 002: the first is 5x5, the others 3x3, all "same" padded.
# Each is pooled by 2. Table 1 fixes the kernels; the dense network follows from Table 12.
CNN_FILTERS = {"shallow_cnn": (16, 32), "base_cnn": (32, 64), "dense_cnn": (32, 64, 128)}
# Kind of block and blocks of each of the four stages (He et al. 2016, Table 1).
RESNETS: dict[str, tuple[type[nn.Module], Sequence[int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}
VGGS = {"vgg16": torchvision.models.vgg16, "vgg16_bn": torchvision.models.vgg16_bn}
CONVS = ("cifar_conv", "fmnist_conv", "mnist_conv")  # paper 001, Table 1; paper 004, section VI
NAMES = (*CNN_FILTERS, *RESNETS, *VGGS, *CONVS, "wide_resnet28_10", "mobilenet_v2")
LIBRARIES = ("torchvision", "timm")  # "torchvision:alexnet" is theirs as it is
# The statistics of pixels that nearly every network for ImageNet was trained with.
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def build(
    name: str,
    *,
    classes: int = 10,
    channels: int = 1,
    size: int = 28,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    dropout: float = 0.25,
    width: int = 64,
    weights: str = "",
    seed: int = 0,
) -> nn.Module:
    """Build a network by name, in evaluation mode.

    A plain name is one of the papers' networks for small images; those that torchvision has, too,
    have its layers, but keep the resolution where it would halve images of 224 pixels first.
    `torchvision:NAME` and `timm:NAME` are any classifier of these libraries, unchanged.

    Args:
        mean, std: of normalisation, in pixel units; one number or one a channel (`IMAGENET` has
            those of networks for ImageNet).
        dropout: rate in the CNNs of paper 002, which does not state it; the others have their own.
        width: channels of a ResNet's first stage, which the later ones double; below 64 for quick
            runs. The others have their own.
        weights: "" for new ones, which follow from `seed` (the global random state is left alone);
            "default" for those that the library downloads; or a safetensors file of the network's
            state (without the normalisation).

    Returns:
        The network with channels-last weights, which is faster on every device that this project
        measured.

    Raises:
        ValueError: an unknown name, a size that the network would pool away, or weights that are
            not this network's; the message names the argument.
    """
    check(name)
    check_weights(name, weights)
    if not 0 <= dropout <= 0.9:
        raise ValueError(f"dropout: must lie in [0, 0.9], got {dropout}")
    if width < 1:
        raise ValueError(f"width: must be at least 1, got {width}")
    mean, std = _per_channel("mean", mean, channels), _per_channel("std", std, channels)
    if min(std) <= 0:
        raise ValueError(f"std: must be above 0, got {std}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name in CNN_FILTERS:
            network = _cnn(CNN_FILTERS[name], classes, channels, size, dropout)
        elif name in RESNETS:
            network = _small_resnet(*RESNETS[name], classes, channels, width)
        elif name in VGGS:
            network = _small_vgg(VGGS[name], classes, channels, size)
        elif name == "cifar_conv":
            network = _cifar_conv(classes, channels, size)
        elif name == "fmnist_conv":
            network = _fmnist_conv(classes, channels, size)
        elif name == "mnist_conv":
            network = _mnist_conv(classes, channels, size)
        elif name == "wide_resnet28_10":
            network = _wide_resnet(28, 10, classes, channels)
        elif name == "mobilenet_v2":
            network = _small_mobilenet(classes, channels)
        else:
            network = _of_library(name, classes, channels, download=weights == "default")
    if weights not in ("", "default"):
        _load(network, name, Path(weights))
    model = nn.Sequential(OrderedDict(normalize=Normalize(mean, std), network=network))
    return model.to(memory_format=torch.channels_last).eval()


def check(name: str) -> None:
    """Raise ValueError if no network goes by this name."""
    library, _, which = name.partition(":")
    if library in LIBRARIES:
        if which not in _listed(library):
            raise ValueError(f"model: {library} has no classifier called {which!r}")
    elif name not in NAMES:
        known = ", ".join([*NAMES, *(f"{library}:NAME" for library in LIBRARIES)])
        raise ValueError(f"model: unknown network {name!r}; known are {known}")


def check_weights(name: str, weights: str) -> None:
    """Raise ValueError unless `weights` can be those of the named network."""
    if weights == "default":
        if ":" not in name:
            raise ValueError(f"weights: {name} has no default ones; give a safetensors file")
    elif weights and not Path(weights).is_file():
        raise ValueError(
            f"weights: must be '', 'default' or a safetensors file; there is no file {weights}"
        )


def class_names(name: str) -> list[str]:
    """The names of ImageNet's 1,000 classes, if this is torchvision's network; else []."""
    library, _, which = name.partition(":")
    if library != "torchvision":
        return []
    return list(torchvision.models.get_model_weights(which).DEFAULT.meta.get("categories", []))


@torch.no_grad()
def summary(model: nn.Module, *, channels: int = 1, size: int = 28) -> pd.DataFrame:
    """Layers in the order they run, as columns layer, output (C x H x W) and parameters."""
    rows: list[dict] = []

    def note(module: nn.Module, _inputs: tuple, output: Tensor) -> None:
        shape = " x ".join(str(n) for n in output.shape[1:])
        parameters = sum(p.numel() for p in module.parameters())
        rows.append({"layer": type(module).__name__, "output": shape, "parameters": parameters})

    leaves = [m for m in model.modules() if not list(m.children())]
    hooks = [m.register_forward_hook(note) for m in leaves]
    try:
        device = next(model.parameters()).device
        model(torch.zeros(1, channels, size, size, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return pd.DataFrame(rows)


def _cnn(
    filters: Sequence[int], classes: int, channels: int, size: int, dropout: float
) -> nn.Sequential:
    _at_least(2 ** len(filters), size)
    layers: list[nn.Module] = []
    for depth, (inputs, outputs) in enumerate(zip((channels, *filters), filters, strict=False)):
        kernel = 5 if depth == 0 else 3
        # Pooling before the ReLU gives the same numbers as after it, on a quarter of the values.
        layers += [
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            Dropout(dropout),
        ]
        size //= 2
    features = filters[-1] * size * size
    head = [nn.Flatten(), nn.Linear(features, 32), nn.ReLU(), nn.Linear(32, classes)]
    return nn.Sequential(*layers, *head)


def _small_resnet(
    block: type[nn.Module], blocks: Sequence[int], classes: int, channels: int, width: int
) -> nn.Module:
    """torchvision's ResNet with the usual stem for 32x32 images: 3x3, stride 1, no pooling."""
    network = torchvision.models.ResNet(block, list(blocks), num_classes=classes)
    network.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    network.bn1 = nn.BatchNorm2d(width)
    network.maxpool = nn.Identity()
    if width != 64:
        network.inplanes = width
        for stage, count in enumerate(blocks):
            layer = network._make_layer(block, width * 2**stage, count, stride=min(stage, 1) + 1)
            network.set_submodule(f"layer{stage + 1}", layer)
        network.fc = nn.Linear(8 * width * block.expansion, classes)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return network


def _small_vgg(
    vgg: Callable[..., nn.Module], classes: int, channels: int, size: int
) -> nn.Sequential:
    """torchvision's convolutions, their mean over what is left of the image, one dense layer."""
    _at_least(32, size)
    features = vgg().features
    if channels != 3:
        features[0] = nn.Conv2d(channels, 64, 3, padding=1)
        nn.init.kaiming_normal_(features[0].weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(
        OrderedDict(
            features=features,
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Linear(512, classes),
        )
    )


def _cifar_conv(classes: int, channels: int, size: int) -> nn.Sequential:
    """CIFAR_conv; Table 1 gives kernels and filters, padding and halving pools are ours."""
    _at_least(8, size)
    halve = {"kernel_size": 3, "stride": 2, "padding": 1}
    layers: list[nn.Module] = []
    stages = ((channels, 32, 5, nn.MaxPool2d), (32, 64, 8, nn.AvgPool2d), (64, 64, 8, nn.AvgPool2d))
    for inputs, outputs, kernel, pool in stages:
        before, after = (kernel - 1) // 2, kernel // 2
        layers += [
            nn.ZeroPad2d((before, after, before, after)),
            nn.Conv2d(inputs, outputs, kernel),
            nn.ReLU(),
            pool(**halve),
        ]
    side = math.ceil(size / 8)
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(64 * side**2, 64), nn.ReLU(), nn.Linear(64, classes)
    )


def _fmnist_conv(classes: int, channels: int, size: int) -> nn.Sequential:
    """F-MNIST_conv: the basic CNN of CleverHans, from which the strides that Table 1 omits are."""
    _at_least(26, size)
    side = ((size + 1) // 2 - 6) // 2 + 1 - 4
    return nn.Sequential(
        nn.Conv2d(channels, 64, 8, stride=2, padding=3), nn.ReLU(),
        nn.Conv2d(64, 128, 6, stride=2), nn.ReLU(),
        nn.Conv2d(128, 128, 5), nn.ReLU(),
        nn.Flatten(), nn.Linear(128 * side**2, classes),
    )  # fmt: skip


def _mnist_conv(classes: int, channels: int, size: int) -> nn.Sequential:
    """mnist_conv; its 9216 features ask for a pool of 2, which section VI omits.

    The second dropout stands where PyTorch's MNIST example, which has the same layers, has it.
    """
    _at_least(6, size)
    side = (size - 4) // 2
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3), nn.ReLU(),
        nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Dropout2d(0.25),
        nn.Flatten(), nn.Linear(64 * side**2, 128), nn.ReLU(), Dropout(0.5),
        nn.Linear(128, classes),
    )  # fmt: skip


def _wide_resnet(depth: int, widen: int, classes: int, channels: int) -> nn.Sequential:
    """Wide ResNet of basic blocks for 32x32 images (Zagoruyko and Komodakis 2016)."""
    widths = [16 * widen, 32 * widen, 64 * widen]
    layers: list[nn.Module] = [nn.Conv2d(channels, 16, 3, padding=1, bias=False)]
    inputs = 16
    for stage, outputs in enumerate(widths):
        for block in range((depth - 4) // 6):
            layers.append(PreActivation(inputs, outputs, 2 if stage and not block else 1))
            inputs = outputs
    layers += [nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs, classes))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return network


class PreActivation(nn.Module):
    """Batch norm, ReLU and a 3x3 convolution, twice, beside a shortcut (He et al. 2016b)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = None
        if inputs != outputs or stride > 1:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        active = F.relu(self.norm1(images))
        beside = images if self.shortcut is None else self.shortcut(active)
        return self.conv2(F.relu(self.norm2(self.conv1(active)))) + beside


def _small_mobilenet(classes: int, channels: int) -> nn.Module:
    """torchvision's MobileNetV2, with a stride of 1 in its stem and first halving stage."""
    network = torchvision.models.mobilenet_v2(num_classes=classes)
    stem = network.features[0][0]
    network.features[0][0] = nn.Conv2d(channels, stem.out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(network.features[0][0].weight, mode="fan_out")
    network.features[2].conv[1][0].stride = (1, 1)
    return network


def _listed(library: str) -> list[str]:
    if library == "torchvision":
        return torchvision.models.list_models(module=torchvision.models)
    import timm  # only where it is asked for: it takes a second

    return timm.list_models()


def _of_library(name: str, classes: int, channels: int, *, download: bool) -> nn.Module:
    library, _, which = name.partition(":")
    if library == "timm":
        import timm

        return timm.create_model(which, pretrained=download, num_classes=classes, in_chans=channels)
    if channels != 3:
        raise ValueError(f"channels: torchvision's networks take 3, got {channels}")
    chosen = "DEFAULT" if download else None
    return torchvision.models.get_model(which, weights=chosen, num_classes=classes)


def _load(network: nn.Module, name: str, file: Path) -> None:
    """Read the network's state from a safetensors file."""
    try:
        network.load_state_dict(load_file(file))
    except SafetensorError as error:
        raise ValueError(f"weights: {file} is no safetensors file ({error})") from error
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise ValueError(f"weights: {file} is not for {name}: {first}") from error


def _at_least(least: int, size: int) -> None:
    if size < least:
        raise ValueError(f"size: must be at least {least} for this network, got {size}")


def _per_channel(what: str, value: float | Sequence[float], channels: int) -> list[float]:
    values = [float(value)] * channels if isinstance(value, int | float) else list(value)
    if len(values) != channels:
        raise ValueError(f"{what}: must be one number or {channels}, got {len(values)}")
    return values
