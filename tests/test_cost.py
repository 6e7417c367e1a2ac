import torch
from torch import nn

from advlib import cache, cost, networks
from advlib.attacks import Attack, pgd
from advlib.defenses import adversarial


class Slow(nn.Module):
    """The same network, with a delay that no machine can hide."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        noise = torch.rand(1500, 1500)
        for _ in range(3):
            noise = noise @ noise * 1e-3
        return self.network(images) + 0 * noise.sum()


def test_the_slower_model_takes_longer_and_neither_is_changed():
    fast = networks.build("shallow_cnn")
    slow = Slow(networks.build("shallow_cnn"))
    before = cache.digest(fast)
    images, labels = torch.rand(8, 1, 28, 28), torch.arange(8)
    taken = cost.step_seconds({"fast": fast, "slow": slow}, images, labels, rounds=2)
    assert 0 < taken["fast"] < taken["slow"]
    assert cache.digest(fast) == before
    assert not fast.training


def test_slow_steps_are_timed_less_often(monkeypatch):
    turns = []
    monkeypatch.setattr(cost, "LONG", 0)
    monkeypatch.setattr(cost, "_wait", lambda _device: turns.append(1))
    images, labels = torch.rand(8, 1, 28, 28), torch.arange(8)
    cost.step_seconds({"one": networks.build("shallow_cnn")}, images, labels)
    assert len(turns) == 2 * 4  # before and after the first turn and three counted ones


def test_what_prepares_a_batch_is_timed_with_it():
    model = networks.build("shallow_cnn")
    images, labels = torch.rand(8, 1, 28, 28), torch.arange(8)
    attack = adversarial.fresh(Attack("PGD", pgd, eps=0.1, step=0.02, steps=20))
    taken = cost.step_seconds(
        {"plain": model, "PGD": model}, images, labels, rounds=2, prepare={"PGD": attack}
    )
    assert taken["PGD"] > 5 * taken["plain"]
