"""The papers' small CNNs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from torch import nn

from advlib.networks.layers import Dropout, Shape

# Filters of each convolution in paper 002: the first is 5x5, the others 3x3, all "same" padded.
# Each is pooled by 2. Table 1 fixes the kernels; the dense network follows from Table 12.
FILTERS = {"shallow_cnn": (16, 32), "base_cnn": (32, 64), "dense_cnn": (32, 64, 128)}


def cnn(filters: tuple[int, ...], shape: Shape) -> nn.Sequential:
    """A CNN of paper 002, with so many filters in each convolution."""
    shape.at_least(2 ** len(filters))
    size = shape.size
    layers: list[nn.Module] = []
    for depth, (inputs, outputs) in enumerate(
        zip((shape.channels, *filters), filters, strict=False)
    ):
        kernel = 5 if depth == 0 else 3
        # Pooling before the ReLU gives the same numbers as after it, on a quarter of the values.
        layers += [
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            Dropout(shape.dropout),
        ]
        size //= 2
    features = filters[-1] * size * size
    head = [nn.Flatten(), nn.Linear(features, 32), nn.ReLU(), nn.Linear(32, shape.classes)]
    return nn.Sequential(*layers, *head)


def cifar_conv(shape: Shape) -> nn.Sequential:
    """CIFAR_conv; Table 1 gives kernels and filters, padding and halving pools are ours."""
    shape.at_least(8)
    layers: list[nn.Module] = []
    stages = (
        (shape.channels, 32, 5, nn.MaxPool2d),
        (32, 64, 8, nn.AvgPool2d),
        (64, 64, 8, nn.AvgPool2d),
    )
    for inputs, outputs, kernel, pool in stages:
        before, after = (kernel - 1) // 2, kernel // 2
        layers += [
            nn.ZeroPad2d((before, after, before, after)),
            nn.Conv2d(inputs, outputs, kernel),
            nn.ReLU(),
            pool(kernel_size=3, stride=2, padding=1),
        ]
    side = math.ceil(shape.size / 8)
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(64 * side**2, 64), nn.ReLU(), nn.Linear(64, shape.classes)
    )


def fmnist_conv(shape: Shape) -> nn.Sequential:
    """F-MNIST_conv: the basic CNN of CleverHans, from which the strides that Table 1 omits are."""
    shape.at_least(26)
    side = ((shape.size + 1) // 2 - 6) // 2 + 1 - 4
    return nn.Sequential(
        nn.Conv2d(shape.channels, 64, 8, stride=2, padding=3), nn.ReLU(),
        nn.Conv2d(64, 128, 6, stride=2), nn.ReLU(),
        nn.Conv2d(128, 128, 5), nn.ReLU(),
        nn.Flatten(), nn.Linear(128 * side**2, shape.classes),
    )  # fmt: skip


def mnist_conv(shape: Shape) -> nn.Sequential:
    """mnist_conv; its 9216 features ask for a pool of 2, which section VI omits.

    The second dropout stands where PyTorch's MNIST example, which has the same layers, has it.
    """
    shape.at_least(6)
    side = (shape.size - 4) // 2
    return nn.Sequential(
        nn.Conv2d(shape.channels, 32, 3), nn.ReLU(),
        nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Dropout2d(0.25),
        nn.Flatten(), nn.Linear(64 * side**2, 128), nn.ReLU(), Dropout(0.5),
        nn.Linear(128, shape.classes),
    )  # fmt: skip


BUILDERS: dict[str, Callable[[Shape], nn.Module]] = {
    **{name: partial(cnn, filters) for name, filters in FILTERS.items()},
    "cifar_conv": cifar_conv,
    "fmnist_conv": fmnist_conv,
    "mnist_conv": mnist_conv,
}
