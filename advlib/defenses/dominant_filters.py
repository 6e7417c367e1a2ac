"""Fine-tuning only the filters that an attack moves most (paper 002).

`effects` measures how far an attack moves each filter, `dominant` names the filters it moves
most, and `harden` fine-tunes those while every other filter stays as it is. A split convolution
computes the weight gradient of its trained filters alone, so a step really is lighter.
"""

from __future__ import annotations

import copy
import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from advlib.cache import versioned
from advlib.data import Split
from advlib.networks.layers import convolutions
from advlib.predictions import device_of
from advlib.training import Hardened, Recipe, fit

# Modules in which each channel keeps to itself.
CHANNELWISE = (nn.Identity, nn.MaxPool2d, nn.ReLU, nn.Dropout)
BLOCK = 16  # channels that a vectorized convolution computes at a time

Filters = Mapping[str, Tensor]  # sorted filter numbers int64 [k], by the convolution's name


@torch.no_grad()
def effects(
    model: nn.Module, images: Tensor, adversarial: Tensor, *, batch_size: int = 500
) -> dict[str, Tensor]:
    """Mean absolute change of each filter's output from an image to its adversarial counterpart.

    Measured after the ReLU, which in the paper's (Keras) networks is part of the layer. `images`
    and `adversarial` are float32 [N, C, H, W]; returns float32 [N, filters] by convolution, on the
    model's device.
    """
    device = device_of(model)
    outputs: dict[str, list[Tensor]] = {name: [] for name in convolutions(model)}
    hooks = [
        layer.register_forward_hook(lambda _m, _i, out, name=name: outputs[name].append(out.relu()))
        for name, layer in convolutions(model).items()
    ]
    moved: dict[str, list[Tensor]] = {name: [] for name in outputs}
    try:
        for pair in zip(images.split(batch_size), adversarial.split(batch_size), strict=True):
            for batch in pair:
                model(batch.to(device))
            for name, (before, after) in outputs.items():
                moved[name].append((after - before).abs().mean((2, 3)))
                outputs[name].clear()
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(parts) for name, parts in moved.items()}


def kept(share: float, filters: int) -> int:
    """How many of a layer's filters a share is: rounded up, as the paper's Table 12 counts."""
    if not 0 < share <= 1:
        raise ValueError(f"share: must lie in (0, 1], got {share}")
    return math.ceil(round(share * filters, 9))  # 0.1 * 30 is a little over 3 in floating point


def top_counts(moved: Tensor, groups: Tensor, share: float) -> Tensor:
    """How often each filter is among the most moved `share` of its layer, in each group of pairs.

    `moved` is one layer's `effects` [N, filters], `groups` int64 [N] (the paper: the image's
    class). Returns int64 [groups, filters], the paper's histograms.
    """
    top = moved.topk(kept(share, moved.shape[1]), dim=1).indices
    hits = torch.zeros_like(moved, dtype=torch.int64).scatter_(1, top, 1)
    counts = hits.new_zeros(int(groups.max()) + 1, moved.shape[1])
    return counts.index_add_(0, groups, hits)


def dominant(moved: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The filters that are most often among the most moved `share` of their layer.

    Ties go to the filter that is moved further on average.
    """
    chosen = {}
    for name, change in moved.items():
        often = top_counts(
            change, torch.zeros(len(change), dtype=torch.int64, device=change.device), share
        )[0]
        rank = often + change.mean(0) / change.mean(0).sum().clamp(min=1e-12)
        chosen[name] = rank.topk(kept(share, change.shape[1])).indices.sort().values
    return chosen


def overlap(sets: Sequence[Tensor]) -> float:
    """Mean Jaccard overlap over all pairs of filter sets: 1 if all are the same, nan for one."""
    chosen = [set(filters.tolist()) for filters in sets]
    shares = [len(a & b) / len(a | b) for a, b in itertools.combinations(chosen, 2)]
    return statistics.fmean(shares) if shares else math.nan


def random_filters(model: nn.Module, share: float, *, seed: int) -> dict[str, Tensor]:
    """As many filters of each convolution, drawn blindly: the control for `dominant`."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randperm(layer.out_channels, generator=generator)[
            : kept(share, layer.out_channels)
        ]
        .sort()
        .values
        for name, layer in convolutions(model).items()
    }


def untrained_share(model: nn.Module, share: float) -> float:
    """Share of all parameters that fine-tuning `share` of the filters leaves alone (Table 12).

    The paper's counts come out when each layer's filters are rounded up and the dense layers are
    trained as well, although its text freezes "everything except for the dominant filters".
    """
    untrained = 0
    for layer in convolutions(model).values():
        parameters = sum(p.numel() for p in layer.parameters())
        trained = parameters // layer.out_channels * kept(share, layer.out_channels)
        untrained += parameters - trained
    return untrained / sum(p.numel() for p in model.parameters())


def harden(
    model: nn.Module, train: Split, recipe: Recipe, *, filters: Filters, head: bool = True
) -> Hardened:
    """A copy of `model` of which only `filters` were fine-tuned on `train`.

    `head` trains the dense layers too, as the paper's parameter counts imply; False freezes them,
    as its text says.
    """
    trained = split(model, filters, head=head)
    curves = fit(trained, train, recipe)
    return Hardened(merge(trained, model), curves)


def split(model: nn.Module, filters: Filters, *, head: bool = True) -> nn.Module:
    """A copy whose convolutions train `filters` alone. Same outputs, lighter backward pass."""
    unknown = set(filters) ^ set(convolutions(model))
    if unknown:
        raise ValueError(f"filters: must name each convolution once; at odds: {sorted(unknown)}")
    model = copy.deepcopy(model).requires_grad_(False)
    if head:
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.requires_grad_(True)
    layers = convolutions(model)
    first, *others = layers
    after = _after(model, first)
    behind = model.get_submodule(after[0]) if after else None
    pool = behind if isinstance(behind, nn.MaxPool2d) else None
    if pool is not None:
        model.set_submodule(after[0], nn.Identity())
    second = next((n for n in after if not isinstance(model.get_submodule(n), CHANNELWISE)), None)
    lowest = SplitConv2d(layers[first], filters[first], pool=pool)
    model.set_submodule(first, lowest)
    for name in others:
        below = lowest if name == second else None
        layer = SplitConv2d(layers[name], filters[name], below=below)
        model.set_submodule(name, layer)
    return model


@torch.no_grad()
def merge(trained: nn.Module, model: nn.Module) -> nn.Module:
    """A copy of `model`, the network that `trained` was split from, with the trained weights."""
    merged = copy.deepcopy(model)
    for name, module in trained.named_modules():
        if isinstance(module, SplitConv2d):
            weight, bias = module.whole()
            whole = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
            merged.get_submodule(name).load_state_dict(whole)
        elif isinstance(module, nn.Linear):
            merged.get_submodule(name).load_state_dict(module.state_dict())
    return merged


@versioned("split convolution", 1)
class SplitConv2d(nn.Module):
    """A convolution of which only some filters are trained.

    Equal to the paper's two parallel convolutions, one of them frozen, but computed as one: the
    output is one convolution's, and the backward pass computes the weight gradient of the trained
    filters alone. Below a network's first layer nothing needs a gradient, which saves more: it can
    take in the max-`pool` behind it and undo that for the trained filters alone, and the layer
    that has it `below` itself hands no gradient down to the filters that are not trained.
    """

    filters: Tensor

    def __init__(
        self,
        layer: nn.Conv2d,
        filters: Tensor,
        *,
        pool: nn.MaxPool2d | None = None,
        below: SplitConv2d | None = None,
    ) -> None:
        super().__init__()
        if layer.groups != 1 or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise ValueError("filters: only ungrouped, zero-padded convolutions can be split")
        if len(filters) == 0 or filters.unique().numel() != len(filters):
            raise ValueError(f"filters: must be one or more distinct numbers, got {filters}")
        if filters.min() < 0 or filters.max() >= layer.out_channels:
            raise ValueError(f"filters: must lie in 0 to {layer.out_channels - 1}, got {filters}")
        filters = filters.to(layer.weight.device)
        self.plain = copy.deepcopy(layer).requires_grad_(False)
        self.pool = pool
        self.below = (below,)  # a tuple keeps it from counting as a part of this module
        self.attacked = False  # in the last forward pass: a gradient of the images is asked for
        self.register_buffer("filters", filters)
        self.weight = nn.Parameter(self.plain.weight[filters].clone())
        self.bias = None
        if self.plain.bias is not None:
            self.bias = nn.Parameter(self.plain.bias[filters].clone())

    def extra_repr(self) -> str:
        return f"trained={len(self.filters)}"

    def forward(self, images: Tensor) -> Tensor:
        weight, bias = self.whole()
        if torch.is_autocast_enabled(images.device.type):
            kind = torch.get_autocast_dtype(images.device.type)
            images, weight = images.to(kind), weight.to(kind)
            bias = None if bias is None else bias.to(kind)
        self.attacked = images.requires_grad
        (below,) = self.below
        wanted = None if below is None or below.attacked else _in_blocks(below)
        output = _SplitConvolution.apply(
            images, self.weight, self.bias, weight, bias, self.filters, wanted, self.plain,
            None if self.attacked else self.pool,
        )  # fmt: skip
        return self.pool(output) if self.attacked and self.pool is not None else output

    @torch.no_grad()
    def whole(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of all filters, the trained ones at their present values."""
        weight = self.plain.weight.clone()  # keeps the channels-last layout; index_copy loses it
        weight[self.filters] = self.weight
        if self.bias is None or self.plain.bias is None:
            return weight, None
        return weight, self.plain.bias.index_copy(0, self.filters, self.bias)


class _SplitConvolution(torch.autograd.Function):
    """Convolution (and max-pooling) whose backward pass serves `part`, the trained filters.

    `wanted` are the input's channels that a gradient is handed down to; None means all.
    """

    @staticmethod
    def forward(ctx, images, part, part_bias, weight, bias, filters, wanted, layer, pool):
        output = F.conv2d(images, weight, bias, layer.stride, layer.padding, layer.dilation)
        ctx.layer, ctx.pool, ctx.kind, ctx.wanted = layer, pool, part.dtype, wanted
        if pool is None:
            ctx.save_for_backward(images, weight, filters)
            return output
        pooled, origins = F.max_pool2d(output, *_geometry(pool), return_indices=True)
        ctx.save_for_backward(images, weight, filters, origins[:, filters])
        ctx.shape = (len(images), len(filters), *output.shape[2:])
        return pooled

    @staticmethod
    def backward(ctx, gradient):
        images, weight, filters, *origins = ctx.saved_tensors
        to_images, biased = None, ctx.layer.bias is not None
        if ctx.needs_input_grad[0]:
            to_images = _gradient_of_images(ctx, gradient, images, weight)
        to_part = gradient[:, filters]
        if ctx.pool is not None:
            to_part = torch.ops.aten.max_pool2d_with_indices_backward(
                to_part.contiguous(), gradient.new_empty(ctx.shape), *_geometry(ctx.pool),
                origins[0].contiguous(),
            )  # fmt: skip
        part = weight.new_empty(len(filters), *weight.shape[1:])  # only its shape is asked for
        _, to_weight, to_bias = _convolution_backward(
            ctx.layer, to_part, images, part, of=(False, True, biased)
        )
        to_weight = to_weight.to(ctx.kind)
        to_bias = to_bias.to(ctx.kind) if biased else None
        return to_images, to_weight, to_bias, *(None,) * 6


def _gradient_of_images(ctx, gradient: Tensor, images: Tensor, weight: Tensor) -> Tensor:
    """The gradient that a layer hands down: of the wanted channels, zero for the others."""
    of = (True, False, False)
    if ctx.wanted is None:
        return _convolution_backward(ctx.layer, gradient, images, weight, of=of)[0]
    shape = (len(images), len(ctx.wanted), *images.shape[2:])
    like = torch.empty(
        shape, dtype=images.dtype, device=images.device, memory_format=torch.channels_last
    )
    part = _convolution_backward(ctx.layer, gradient, like, weight[:, ctx.wanted], of=of)[0]
    return torch.zeros_like(images).index_copy_(1, ctx.wanted, part)


def _in_blocks(layer: SplitConv2d) -> Tensor | None:
    """The layer's trained filters and a few others: convolutions compute in blocks of sixteen."""
    count = layer.plain.out_channels
    size = math.ceil(len(layer.filters) / BLOCK) * BLOCK
    if size >= count:
        return None
    chosen = torch.zeros(count, device=layer.filters.device)
    chosen[layer.filters] = 1
    return chosen.topk(size).indices.sort().values


def _convolution_backward(
    layer: nn.Conv2d, gradient: Tensor, images: Tensor, weight: Tensor, *, of: tuple[bool, ...]
) -> tuple[Any, ...]:
    """Gradients of input, weight and bias, where `of` says so, in the layout of the layer."""
    layout = torch.contiguous_format  # also the faster one for images of a single channel
    if images.shape[1] > 1 and layer.weight.is_contiguous(memory_format=torch.channels_last):
        layout = torch.channels_last
    gradient, images, weight = (
        t.contiguous(memory_format=layout) for t in (gradient, images, weight)
    )
    sizes = None if layer.bias is None else [len(weight)]
    return torch.ops.aten.convolution_backward(
        gradient, images, weight, sizes, layer.stride, layer.padding, layer.dilation,
        False, (0, 0), 1, of,
    )  # fmt: skip


def _geometry(pool: nn.MaxPool2d) -> tuple:
    pairs = (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
    return *((p, p) if isinstance(p, int) else p for p in pairs), pool.ceil_mode


def _after(model: nn.Module, name: str) -> list[str]:
    """The names of the modules that run after this one, as far as a Sequential tells."""
    parent, _, own = name.rpartition(".")
    if not isinstance(model.get_submodule(parent), nn.Sequential):
        return []
    names = [child for child, _ in model.get_submodule(parent).named_children()]
    prefix = f"{parent}." if parent else ""
    return [prefix + child for child in names[names.index(own) + 1 :]]
