"""Networks: pixels in [0, 1] go in, logits come out.

Every model is `normalize` (registered buffers) followed by `network`, so an attack's `eps` is in
pixel units whatever statistics the network was trained with.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import pandas as pd
import torch
import torchvision
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
NAMES = (*CNN_FILTERS, *RESNETS)


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
    seed: int = 0,
) -> nn.Module:
    """Build an untrained network by name, in evaluation mode.

    `mean` and `std` are in pixel units, one number or one a channel. `dropout` applies to the
    paper's CNNs only (paper 002 does not state its rate), `width` to the ResNets only: the channels
    of their first stage, which the later ones double; below 64 for quick runs. The initial weights
    follow from `seed`; the global random state is left alone. Weights are channels-last, which is
    faster on every device that this project measured.

    Raises ValueError for an unknown name, or a size that the network would pool away.
    """
    check(name)
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
        else:
            network = _small_resnet(*RESNETS[name], classes, channels, width)
    model = nn.Sequential(OrderedDict(normalize=Normalize(mean, std), network=network))
    return model.to(memory_format=torch.channels_last).eval()


def check(name: str) -> None:
    """Raise ValueError if no network goes by this name."""
    if name not in NAMES:
        raise ValueError(f"model: unknown network {name!r}; known are {', '.join(NAMES)}")


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
    if size < 2 ** len(filters):
        raise ValueError(f"size: must be at least {2 ** len(filters)} for this network, got {size}")
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


def _per_channel(what: str, value: float | Sequence[float], channels: int) -> list[float]:
    values = [float(value)] * channels if isinstance(value, int | float) else list(value)
    if len(values) != channels:
        raise ValueError(f"{what}: must be one number or {channels}, got {len(values)}")
    return values
