"""A pretend accelerator: finds on a CPU what would fail, or be slow, on a GPU.

`Pretend` tensors say that they are on the device "lazy", which no build of torch has and whose
autograd runs on the CPU's thread. They hold CPU data, refuse to meet CPU tensors where a GPU would,
and a `Machine` counts the copies between host and device and the waits: `.item()`, `bool(tensor)`,
results whose size depends on values.

    with Machine() as machine:
        model = to_device(networks.build("base_cnn"))
        pgd(model, images.to(DEVICE), labels.to(DEVICE), eps=0.1, step=0.02, steps=10)
    print(machine.copies, machine.waits)

Not covered: what torch.cuda itself says, autocast (off here), the kernels' own numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("lazy")
# Operations that may take tensors of both sides.
MAY_MIX = ("aten::copy_", "aten::_to_copy", "aten::_local_scalar_dense", "aten::equal")
# Operations whose result has a size that only the values tell.
SIZED_BY_VALUES = (
    "aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_dim",
    "aten::unique_consecutive", "aten::bincount",
)  # fmt: skip


class Pretend(torch.Tensor):
    """A tensor that says it is on `DEVICE` and holds its data on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, data: Tensor) -> Pretend:
        return torch.Tensor._make_wrapper_subclass(
            cls, data.size(), strides=data.stride(), storage_offset=data.storage_offset(),
            dtype=data.dtype, device=DEVICE, requires_grad=False,
        )  # fmt: skip

    def __init__(self, data: Tensor) -> None:
        self.held = data

    def __repr__(self, **_: Any) -> str:
        return f"Pretend({self.held})"

    def __format__(self, spec: str) -> str:
        return format(self.held.item(), spec) if self.ndim == 0 else repr(self)

    def __deepcopy__(self, memo: dict) -> Tensor:
        made = Pretend(self.held.detach().clone())
        if isinstance(self, nn.Parameter):
            made = nn.Parameter(made, self.requires_grad)
        memo[id(self)] = made
        return made

    def tolist(self) -> Any:
        machine = _machines[-1] if _machines else None
        if machine:
            machine.waits += 1
        return self.held.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError("can't convert a tensor on the accelerator to numpy; use .cpu() first")

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {}, _machines[-1] if _machines else None)


_machines: list[Machine] = []


class Machine(TorchDispatchMode):
    """Inside it the device exists; `copies` and `waits` count what a GPU would be slowed by."""

    def __init__(self) -> None:
        super().__init__()
        self.copies = self.waits = 0

    def __enter__(self) -> Machine:
        # So that torch.tensor(x, device="lazy") comes through here.
        torch._C._set_only_lift_cpu_tensors(True)
        self._generator, torch.Generator = torch.Generator, _generator
        self._autocast, torch.is_autocast_enabled = torch.is_autocast_enabled, _autocast
        self._module_to, nn.Module.to = nn.Module.to, _module_to
        _machines.append(self)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        _machines.pop()
        torch.Generator, torch.is_autocast_enabled = self._generator, self._autocast
        nn.Module.to = self._module_to
        torch._C._set_only_lift_cpu_tensors(False)

    def counted(self, work: Callable[[], object]) -> tuple[int, int]:
        """The copies and the waits of a piece of work."""
        before = self.copies, self.waits
        work()
        return self.copies - before[0], self.waits - before[1]

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        device = kwargs.get("device")
        ours = device is not None and torch.device(device).type == DEVICE.type
        if ours or any(isinstance(x, Pretend) for x in tree_leaves((args, kwargs))):
            return _run(func, args, kwargs, self)
        return func(*args, **kwargs)


_Generator = torch.Generator


class _LazyGenerator(_Generator):
    """A generator that says it lives on the device."""

    @property
    def device(self) -> torch.device:
        return DEVICE


def _generator(device: torch.device | str = "cpu") -> torch.Generator:
    return _LazyGenerator() if torch.device(device).type == DEVICE.type else _Generator(device)


_of_torch = torch.is_autocast_enabled


def _autocast(kind: str) -> bool:
    return kind != DEVICE.type and _of_torch(kind)


def to_device(module: nn.Module) -> nn.Module:
    """A copy of the module with its parameters and buffers on the device."""
    return _moved(copy.deepcopy(module))


def _moved(module: nn.Module) -> nn.Module:
    for part in module.modules():
        for name, value in list(part._parameters.items()):
            if value is not None and not isinstance(value, Pretend):
                part._parameters[name] = nn.Parameter(Pretend(value.data), value.requires_grad)
        for name, value in list(part._buffers.items()):
            if value is not None and not isinstance(value, Pretend):
                part._buffers[name] = Pretend(value)
    return module


_to = nn.Module.to


def _module_to(module: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
    return _moved(module) if args and args[0] == DEVICE else _to(module, *args, **kwargs)


def _held(x: Any) -> Any:
    return x.held if isinstance(x, Pretend) else x


def _run(func: Any, args: Any, kwargs: Any, machine: Machine | None) -> Any:
    """The operation on the data held, after the questions that a GPU would ask."""
    name = func._schema.name
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    ours = [x for x in tensors if isinstance(x, Pretend)]
    strangers = [x for x in tensors if not isinstance(x, Pretend) and x.ndim]
    count = machine or Machine.__new__(Machine)
    if machine is None:
        count.copies = count.waits = 0
    if ours and name.startswith("aten::index") and name != "aten::index_select":
        # A CPU index is allowed, at the price of a copy; a CPU tensor indexed by the device is not.
        if not isinstance(args[0], Pretend):
            raise RuntimeError(f"{func}: a CPU tensor is indexed by one on the accelerator")
        count.copies += bool(strangers)
    elif ours and strangers and name not in MAY_MIX:
        shape = tuple(strangers[0].shape)
        raise RuntimeError(f"{func}: a CPU tensor {shape} meets one on the accelerator")
    by_mask = name == "aten::index" and any(
        x.dtype in (torch.bool, torch.uint8) for x in tensors[1:]
    )
    count.waits += bool(ours) and (name in SIZED_BY_VALUES or by_mask)
    on_device = bool(ours)
    if (device := kwargs.get("device")) is not None:
        on_device = torch.device(device).type == DEVICE.type
        kwargs = kwargs | {"device": torch.device("cpu")}
        count.copies += name == "aten::_to_copy" and on_device != bool(ours)
    if name == "aten::_local_scalar_dense":
        count.waits += 1
        return func(_held(args[0]))
    if name == "aten::copy_":
        count.copies += isinstance(args[0], Pretend) != isinstance(args[1], Pretend)
        _held(args[0]).copy_(_held(args[1]))
        return args[0]
    result = func(*tree_map(_held, args), **tree_map(_held, kwargs))
    if func._schema.is_mutable and ours and isinstance(result, torch.Tensor):
        for x in ours:
            if x.held is result:
                return x
    wrap = on_device
    return tree_map(lambda x: Pretend(x) if isinstance(x, torch.Tensor) and wrap else x, result)
