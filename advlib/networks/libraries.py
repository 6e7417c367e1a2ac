"""torchvision's and timm's networks: as they are, or with a stem for small images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torchvision
from torch import nn
from torchvision.models import vgg

from advlib.networks.layers import Shape

LIBRARIES = ("torchvision", "timm")  # "torchvision:alexnet" is theirs as it is


def small_vgg(layers: str, batch_norm: bool, shape: Shape) -> nn.Sequential:
    """torchvision's convolutions, their mean over what is left of the image, one dense layer.

    `layers` is a key of torchvision's `vgg.cfgs`, whose channels are for a width of 64.
    """
    shape.at_least(32)
    plan = [
        max(1, part * shape.width // 64) if isinstance(part, int) else part
        for part in vgg.cfgs[layers]
    ]
    features = vgg.VGG(vgg.make_layers(plan, batch_norm)).features
    if shape.channels != 3:
        first = nn.Conv2d(shape.channels, plan[0], 3, padding=1)
        nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
        features[0] = first
    return nn.Sequential(
        OrderedDict(
            features=features,
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Linear(plan[-2], shape.classes),
        )
    )


def small_mobilenet(shape: Shape) -> nn.Module:
    """torchvision's MobileNetV2, with a stride of 1 in its stem and first halving stage."""
    network = torchvision.models.mobilenet_v2(num_classes=shape.classes)
    stem = network.features[0][0]
    network.features[0][0] = nn.Conv2d(shape.channels, stem.out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(network.features[0][0].weight, mode="fan_out")
    network.features[2].conv[1][0].stride = (1, 1)
    return network


def listed(library: str) -> list[str]:
    """The names of a library's classifiers."""
    if library == "torchvision":
        return torchvision.models.list_models(module=torchvision.models)
    import timm  # only where it is asked for: it takes a second

    return timm.list_models()


def of_library(name: str, shape: Shape, *, download: bool) -> nn.Module:
    """LIBRARY:NAME as the library has it."""
    library, _, which = name.partition(":")
    if library == "timm":
        import timm

        return timm.create_model(
            which, pretrained=download, num_classes=shape.classes, in_chans=shape.channels
        )
    if shape.channels != 3:
        raise ValueError(f"channels: torchvision's networks take 3, got {shape.channels}")
    chosen = "DEFAULT" if download else None
    return torchvision.models.get_model(which, weights=chosen, num_classes=shape.classes)


BUILDERS: dict[str, Callable[[Shape], nn.Module]] = {
    "vgg16": partial(small_vgg, "D", False),
    "vgg16_bn": partial(small_vgg, "D", True),
    "mobilenet_v2": small_mobilenet,
}
