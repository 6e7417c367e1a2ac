"""Networks that the book keeps: those that a published page judged, to be attacked anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from advlib.checks import check_choice

NETWORKS = "networks.safetensors"  # of a run
LARGEST = 2 * 10**6  # bytes of a network that is kept
BOOK = Path(__file__).parents[2] / "book" / "studies"  # of a checkout


def small(network: nn.Module) -> bool:
    """It takes less than `LARGEST` bytes, and so is kept."""
    return sum(t.numel() * t.element_size() for t in network.state_dict().values()) < LARGEST


def write(networks: Mapping[str, nn.Module], built: Mapping[str, Any], file: Path) -> None:
    """Write the networks, by name, into one safetensors file, with the arguments that build them
    all (`networks.build`)."""
    tensors = {
        f"{name}/{key}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }
    save_file(tensors, file, {"built": json.dumps(dict(built)), "names": json.dumps([*networks])})


def read(file: Path, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments that build the named network, and its state.

    Raises ValueError, naming what there is, for a name that the file lacks.
    """
    with safe_open(file, "pt") as kept:
        notes = kept.metadata()
        check_choice("name", name, json.loads(notes["names"]))
        mine = [key for key in kept.keys() if key.startswith(f"{name}/")]  # noqa: SIM118
        state = {key.removeprefix(f"{name}/"): kept.get_tensor(key) for key in mine}
    return json.loads(notes["built"]), state


def pages() -> dict[str, Path]:
    """The published pages that keep networks, each with their file; none outside a checkout."""
    return {file.parent.name: file for file in sorted(BOOK.glob(f"*/{NETWORKS}"))}
