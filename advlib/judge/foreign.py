"""Somebody's network: loaded from a function in a file, checked, and given a name for the cache."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from scipy.stats import binomtest
from torch import Tensor, nn

from advlib import cache
from advlib.data import Split
from advlib.findings import percent
from advlib.networks import IMAGENET
from advlib.networks.layers import Normalize
from advlib.predictions import correct, logits

# Statistics that networks are often trained with; each is a mean and a deviation a channel.
USUAL = {
    "none": ((0.0,), (1.0,)),
    "those for -1 to 1": ((0.5,), (0.5,)),
    "MNIST's": ((0.1307,), (0.3081,)),
    "CIFAR-10's": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "ImageNet's": (IMAGENET["mean"], IMAGENET["std"]),
}
TRIED = 200  # images that tell whether a network was given the right normalisation
BETTER = 0.05  # of accuracy; another normalisation that gives more than this is the network's own


class Foreign(nn.Module):
    """A network whose code the cache does not know, after its normalisation.

    The cache tells it by its tensors, the text of the file that it came from and of those beside
    it, and by its answers to some images: whatever a class computes, it shows in one of the three.

    Args:
        network: maps images [N, C, H, W] to logits [N, K].
        mean, std: of the normalisation before it, one number or one a channel.
        sources: a digest of the code.
        probe: images uint8 [N, C, H, W] to answer.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        sources: str,
        probe: Tensor,
    ) -> None:
        super().__init__()
        self.normalize, self.network = Normalize(mean, std), network
        self.sources, self.answers = sources, ""
        self.to(next(network.parameters()).device).eval()
        self.answers = cache.digest(logits(self, probe))

    def forward(self, images: Tensor) -> Tensor:
        return self.network(self.normalize(images))

    def __cache_key__(self) -> list[object]:
        return ["foreign network", self.sources, self.answers, self.state_dict()]


def load(
    where: str,
    split: Split,
    *,
    classes: int,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
    name: str = "network",
) -> Foreign:
    """The network that a function in a file returns, in evaluation mode, on the split's device.

    Args:
        where: "FILE.py:FUNCTION", or "MODULE:FUNCTION" of an installed module; the function takes
            nothing and returns the network, an `nn.Module` that maps float32 images [N, C, H, W]
            to logits [N, K].
        split: images that it is tried on, uint8 [N, C, H, W], and their classes int64 [N].
        classes: K.
        mean, std: what the network expects of its pixels: (x - mean) / std of x in [0, 1]; one
            number or one a channel. Left as they are where the network normalises by itself.
        name: of the argument, in messages.

    Raises:
        ValueError: there is no such file or function, it fails, what it returns is no network for
            these images, or one that gets many more of them right under another normalisation.
    """
    made, sources = _made(where, name)
    device = split.images.device
    made = made.to(device).eval()
    few = split.first(TRIED)
    channels = few.images.shape[1]
    for what, numbers in (("mean", mean), ("std", std)):
        if len(numbers) not in (1, channels):
            raise ValueError(f"{what}: must be one number or {channels}, got {list(numbers)}")
    if min(std) <= 0:
        raise ValueError(f"std: must be above 0, got {list(std)}")
    try:
        network = Foreign(made, mean, std, sources, few.images)
        scores = logits(network, few.images)
    except Exception as error:
        told = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        shape = "×".join(str(n) for n in few.images.shape[1:])
        raise ValueError(f"{name}: {where} fails on images of {shape} ({told})") from error
    if scores.shape != (len(few.images), classes):
        found = f"{tuple(scores.shape)} for {len(few.images)} images"
        raise ValueError(f"{name}: must give {classes} logits an image, {where} gives {found}")
    if not scores.isfinite().all():
        raise ValueError(f"{name}: {where} gives logits that are no finite numbers")
    _check_normalisation(network, few, name)
    return network


def check(where: str, name: str = "network") -> None:
    """Raise ValueError unless `where` names a function in a file or module that is there."""
    place, colon, function = where.rpartition(":")
    if not colon or not function.isidentifier() or not place:
        raise ValueError(f"{name}: must be FILE.py:FUNCTION or MODULE:FUNCTION, got {where!r}")
    if place.endswith(".py"):
        if not Path(place).expanduser().is_file():
            raise ValueError(f"{name}: there is no file {place}")
    elif not _is_module(place):
        raise ValueError(f"{name}: there is no module {place}, and a file ends in .py")


def _is_module(place: str) -> bool:
    try:
        return importlib.util.find_spec(place) is not None
    except (ImportError, ValueError):
        return False


def _made(where: str, name: str) -> tuple[nn.Module, str]:
    """What the function returns, and a digest of its file and of those beside it that it imports.

    The file is executed: whoever judges a network runs its code.
    """
    check(where, name)
    place, _, function = where.rpartition(":")
    try:
        module = _module(place)
        make = getattr(module, function, None)
        made = make() if callable(make) else None
    except Exception as error:
        raise ValueError(f"{name}: {where} raised {type(error).__name__}: {error}") from error
    if not callable(make):
        raise ValueError(f"{name}: {place} has no function {function!r}")
    if not isinstance(made, nn.Module):
        raise ValueError(f"{name}: {where} must return an nn.Module, got {type(made).__name__}")
    if next(made.parameters(), None) is None:
        raise ValueError(f"{name}: {where} returns a network without parameters")
    folder = Path(str(module.__file__)).parent
    loaded = (getattr(other, "__file__", None) for other in list(sys.modules.values()))
    texts = sorted({path for path in loaded if path and Path(path).parent == folder})
    return made, cache.digest([Path(path).read_bytes().hex() for path in texts])


def _module(place: str) -> ModuleType:
    """The module of that name, or that of the file, executed anew."""
    if not place.endswith(".py"):
        return importlib.import_module(place)
    file = Path(place).expanduser().resolve()
    spec = importlib.util.spec_from_file_location(f"_judged_{file.stem}", file)
    assert spec is not None  # a file that ends in .py has one
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # so that its classes can be pickled, as by torch.load
    sys.path.insert(0, str(file.parent))  # for the files beside it
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(file.parent))
    return module


def _check_normalisation(network: Foreign, few: Split, name: str) -> None:
    """Raise ValueError, naming them, if other statistics get many more images right."""
    given, stated = correct(network, few), network.normalize
    better: dict[str, float] = {}
    for usual, (mean, std) in USUAL.items():
        if len(mean) not in (1, few.images.shape[1]):
            continue
        network.normalize = Normalize(mean, std).to(few.images.device)
        right = correct(network, few)
        won, lost = int((right & ~given).sum()), int((given & ~right).sum())
        sure = won > lost and binomtest(won, won + lost, 0.5, "greater").pvalue < 0.01
        if sure and won - lost > BETTER * len(given):
            numbers = ", std ".join(" ".join(f"{n:g}" for n in of) for of in (mean, std))
            share = right.float().mean().item()
            better[f"{percent(share)} with {usual} (mean {numbers})"] = share
    network.normalize = stated
    if better:
        told = ", ".join(sorted(better, key=lambda text: -better[text]))
        raise ValueError(
            f"mean, std: {name} gets {percent(given.float().mean().item())} of "
            f"{len(given)} images right as stated, "
            f"{told}; state those that it was trained with"
        )
