"""ResNets for small images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from advlib.cache import versioned
from advlib.networks.layers import Shape

# Kind of block and blocks of each of the four stages (He et al. 2016, Table 1).
STAGES: dict[str, tuple[type[BasicBlock | Bottleneck], Sequence[int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}


def resnet(block: type[BasicBlock | Bottleneck], blocks: Sequence[int], shape: Shape) -> nn.Module:
    """torchvision's ResNet with the usual stem for 32x32 images: 3x3, stride 1, no pooling."""
    width = shape.width
    network = torchvision.models.ResNet(block, list(blocks), num_classes=shape.classes)
    network.conv1 = nn.Conv2d(shape.channels, width, 3, padding=1, bias=False)
    network.bn1 = nn.BatchNorm2d(width)
    network.maxpool = nn.Identity()
    if width != 64:
        network.inplanes = width
        for stage, count in enumerate(blocks):
            layer = network._make_layer(block, width * 2**stage, count, stride=min(stage, 1) + 1)
            network.set_submodule(f"layer{stage + 1}", layer)
        network.fc = nn.Linear(8 * width * block.expansion, shape.classes)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return network


def wide_resnet(depth: int, widen: int, shape: Shape) -> nn.Sequential:
    """Wide ResNet of basic blocks for 32x32 images (Zagoruyko and Komodakis 2016)."""
    widths = [16 * widen, 32 * widen, 64 * widen]
    layers: list[nn.Module] = [nn.Conv2d(shape.channels, 16, 3, padding=1, bias=False)]
    inputs = 16
    for stage, outputs in enumerate(widths):
        for block in range((depth - 4) // 6):
            layers.append(PreActivation(inputs, outputs, 2 if stage and not block else 1))
            inputs = outputs
    layers += [nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs, shape.classes))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return network


@versioned("pre-activation", 1)
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


BUILDERS: dict[str, Callable[[Shape], nn.Module]] = {
    **{name: partial(resnet, block, blocks) for name, (block, blocks) in STAGES.items()},
    "wide_resnet28_10": partial(wide_resnet, 28, 10),
}
