"""Small models and images for the tests of attacks, and the contract that every attack keeps."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from advlib import data, networks
from advlib.cache import versioned


@versioned("toy: in double", 1)
class InDouble(nn.Module):
    """Runs a float64 network on float32 images: the size of a batch then changes no sign."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.double()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.double()).float()


@versioned("toy: surer", 1)
class Surer(nn.Module):
    """The same guesses, with logits many times as large."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.factor * self.model(images)


class Fixed(nn.Module):
    """A model whose logits for image i are row i of a table; the image's first pixel tells i."""

    def __init__(self, table: list[list[float]]) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table))

    def forward(self, images: Tensor) -> Tensor:
        return self.table[(images[:, 0, 0, 0] * 255).round().long()]


class Faulty(nn.Module):
    """Raises on the second forward pass, in the middle of an attack."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.calls = network, 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == 2:
            raise RuntimeError("out of memory")
        return self.network(images)


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Module:
    """Logits weight @ pixels + bias, in evaluation mode."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(torch.zeros(len(weight)) if bias is None else bias)
    return nn.Sequential(nn.Flatten(), layer).eval()


def rand(*shape: int, low: float = 0.0, high: float = 1.0, seed: int = 0) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def seeded(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def small_cnn() -> nn.Module:
    return InDouble(networks.build("shallow_cnn", classes=4, channels=2, size=8))


@functools.cache
def trained_cnn() -> tuple[nn.Module, Tensor, Tensor]:
    """A CNN trained for about a second, and the 200 test images (digits) that it did not see."""
    digits = data.load("digits", size=12, train=1000, test=200, device="cpu")
    model = networks.build("shallow_cnn", size=12, dropout=0.0)
    descent = torch.optim.Adam(model.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        for rows in torch.randperm(1000, generator=generator).split(50):
            loss = F.cross_entropy(model(data.pixels(digits.train.images[rows])),
                                   digits.train.labels[rows])  # fmt: skip
            descent.zero_grad()
            loss.backward()
            descent.step()
    descent.zero_grad()
    images, labels = data.pixels(digits.test.images), digits.test.labels
    assert guesses(model, images).eq(labels).float().mean() > 0.85
    return model, images, labels


@torch.no_grad()
def guesses(model: nn.Module, images: Tensor) -> Tensor:
    return model(images).argmax(1)


@contextmanager
def untouched(model: nn.Module, images: Tensor, labels: Tensor) -> Iterator[None]:
    """Assert that the block leaves inputs, modes, flags, weights and gradients as they were."""
    parameters = list(model.parameters())
    for number, parameter in enumerate(parameters):  # a model that is partly frozen
        parameter.grad = torch.full_like(parameter, float(number))
        parameter.requires_grad_(number % 2 == 0)

    def snapshot() -> tuple:
        modes = [module.training for module in model.modules()]
        flags = [p.requires_grad for p in parameters]
        tensors = [*model.state_dict().values(), *(p.grad for p in parameters), images, labels]
        return modes, flags, [t.clone() for t in tensors]

    before = snapshot()
    yield
    after = snapshot()
    assert after[:2] == before[:2]
    assert all(torch.equal(a, b) for a, b in zip(after[2], before[2], strict=True))
    assert not images.requires_grad
