"""Networks that the book keeps: those that a published page judged, to be attacked anew."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

NETWORKS = "network-*.safetensors"  # of a run, a file each
LARGEST = 2 * 10**6  # bytes of a network that is kept
BOOK = Path(__file__).parents[2] / "book" / "studies"  # of a checkout


def small(network: nn.Module) -> bool:
    """It takes less than `LARGEST` bytes, and so is kept."""
    return sum(t.numel() * t.element_size() for t in network.state_dict().values()) < LARGEST


def file_name(name: str) -> str:
    """Of the network's file: "another's images" is network-another-s-images.safetensors."""
    return NETWORKS.replace("*", re.sub(r"\W+", "-", name))


def write(name: str, network: nn.Module, built: Mapping[str, Any], file: Path) -> None:
    """Write the state, with the name and the arguments that build it (`networks.build`)."""
    state = {
        key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, tensor in network.state_dict().items()
    }
    # One entry: several would be written in an order of chance.
    save_file(state, file, {"network": json.dumps({"name": name, "built": dict(built)})})


def read(file: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The arguments that build the network of a file, and its state."""
    with safe_open(file, "pt") as kept:
        return _network(kept)["built"], {k: kept.get_tensor(k) for k in kept.keys()}  # noqa: SIM118


def pages() -> dict[str, dict[str, Path]]:
    """The published pages that keep networks, each with its files by the networks' names; none
    outside a checkout."""
    found: dict[str, dict[str, Path]] = {}
    for file in sorted(BOOK.glob(f"*/{NETWORKS}")):
        with safe_open(file, "pt") as kept:
            found.setdefault(file.parent.name, {})[_network(kept)["name"]] = file
    return found


def _network(kept: Any) -> dict[str, Any]:
    """What an open file says of its network: `name`, and `built`, the arguments that build it."""
    return json.loads(kept.metadata()["network"])
