"""Networks: pixels in [0, 1] go in, logits come out.

Every model is `normalize` (registered buffers) followed by `network`, so an attack's `eps` is in
pixel units whatever statistics the network was trained with.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from advlib import devices
from advlib.checks import check_choice
from advlib.data import Dataset
from advlib.networks import cnns, keeping, libraries, resnets
from advlib.networks.layers import Normalize, Shape

# A new network is a function in the file of its kind, and a row of the BUILDERS there.
BUILDERS = {**cnns.BUILDERS, **resnets.BUILDERS, **libraries.BUILDERS}
NAMES = tuple(BUILDERS)
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
        width: channels of the first stage of a ResNet or VGG, which the later ones double; below
            64 for quick runs. The others have their own.
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
    shape = Shape(classes, channels, size, dropout, width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name in BUILDERS:
            network = BUILDERS[name](shape)
        else:
            network = libraries.of_library(name, shape, download=weights == "default")
    if weights not in ("", "default"):
        _load(network, name, Path(weights))
    model = nn.Sequential(OrderedDict(normalize=Normalize(mean, std), network=network))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch omits it
    return model.eval()


def build_for(images: Dataset, name: str, **more: Any) -> nn.Module:
    """`build` a network for these images, on their device; `more` are its other arguments."""
    more |= {"classes": len(images.classes), "channels": images.channels, "size": images.size}
    return build(name, **more).to(images.train.images.device)


def published(name: str) -> nn.Module:
    """A network that a published page judged, in evaluation mode, on the CPU.

        published("synthesis_mnist/PGD-AT")

    Args:
        name: PAGE/DEFENSE, a page in book/studies of a checkout and the defense in its records;
            those of its first seed are kept.

    Raises:
        ValueError: no page keeps such a network; the message names those there are.
    """
    page, _, defense = name.partition("/")
    check_choice("name", page, pages := keeping.pages())
    check_choice("name", defense, pages[page])
    built, state = keeping.read(pages[page][defense])
    network = build(**built)
    network.load_state_dict(state)
    return network


def check(name: str) -> None:
    """Raise ValueError if no network goes by this name."""
    library, _, which = name.partition(":")
    if library in libraries.LIBRARIES:
        if which not in libraries.listed(library):
            raise ValueError(f"model: {library} has no classifier called {which!r}")
    elif name not in NAMES:
        known = ", ".join([*NAMES, *(f"{library}:NAME" for library in libraries.LIBRARIES)])
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


@functools.lru_cache(maxsize=256)
@torch.no_grad()
def sketch(name: str, *, classes: int, channels: int, size: int, width: int = 64) -> nn.Module:
    """The network on the device "meta", where it takes neither memory nor time, tried on an image.

    Arguments as for `build`. Not to be changed: callers share it.

    Raises:
        ValueError: it takes no images of this shape, or its training takes more memory than there
            is; the message names the argument.
    """
    shape = {"classes": classes, "channels": channels, "size": size, "width": width}
    try:
        if ":" in name:  # some libraries' networks compute with numbers while they are built
            model = build(name, **shape).to("meta")  # type: ignore[arg-type]
        else:
            with torch.device("meta"):
                model = build(name, **shape)  # type: ignore[arg-type]
        model(torch.empty(1, channels, size, size, device="meta"))
    except (AssertionError, OverflowError, RuntimeError, TypeError) as error:
        why = str(error).partition("\n")[0]
        raise ValueError(f"size: {name} takes no images of {size} pixels ({why})") from None
    needed = 4 * sum(4 * weight.numel() for weight in model.parameters())  # with gradient, momenta
    if needed > (there := devices.memory()):
        raise ValueError(
            f"width, size: training {name} at width {width} and size {size} takes "
            f"{needed / 2**30:,.1f} GiB; there are {there / 2**30:.1f}"
        )
    return model


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


def _per_channel(what: str, value: float | Sequence[float], channels: int) -> list[float]:
    values = [float(value)] * channels if isinstance(value, int | float) else list(value)
    if len(values) != channels:
        raise ValueError(f"{what}: must be one number or {channels}, got {len(values)}")
    return values


def _load(network: nn.Module, name: str, file: Path) -> None:
    """Read the network's state from a safetensors file."""
    try:
        network.load_state_dict(load_file(file))
    except SafetensorError as error:
        raise ValueError(f"weights: {file} is no safetensors file ({error})") from error
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise ValueError(f"weights: {file} is not for {name}: {first}") from error
