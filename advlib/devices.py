"""Where to compute, in which numbers, and random numbers drawn there."""

from __future__ import annotations

import platform

import psutil
import torch


def default() -> torch.device:
    """A GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def room(device: torch.device) -> int | None:
    """Free bytes of the device's own memory; None where there is no such limit (the CPU)."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def memory() -> int:
    """All bytes of memory where `default` computes."""
    if default().type == "cuda":
        return torch.cuda.get_device_properties(default()).total_memory
    return psutil.virtual_memory().total


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where the device multiplies in it (tensor cores, AMX, AVX-512), else float32."""
    kind = device.type if device.type in ("cuda", "cpu") else "cpu"
    return torch.autocast(kind, torch.bfloat16, enabled=number_type(device) == "bfloat16")


def number_type(device: torch.device) -> str:
    """What `autocast` computes in: "bfloat16" or "float32"."""
    if device.type == "cuda":
        faster = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        products = (torch.cpu._is_amx_tile_supported, torch.cpu._is_avx512_bf16_supported)
        faster = device.type == "cpu" and any(has() for has in products)
    return "bfloat16" if faster else "float32"


def generator(seed: int, device: torch.device) -> torch.Generator:
    """A seeded source of random numbers that are drawn on the device."""
    return torch.Generator(device).manual_seed(seed)


def describe(device: torch.device) -> dict[str, str | int]:
    """What of a machine decides a result's bits: the kind of device, its numbers, its threads."""
    if device.type == "cuda":
        return {"device": torch.cuda.get_device_name(device), "numbers": number_type(device)}
    return {
        "device": platform.machine() if device.type == "cpu" else device.type,
        "numbers": number_type(device),
        "threads": torch.get_num_threads(),
    }
