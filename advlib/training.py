"""One fit loop for every study."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from advlib import cache
from advlib.attacks.contract import check_count
from advlib.data import Split, at_once, pixels

# Keras's RMSprop differs from torch's in both numbers; papers that name RMSprop used Keras.
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "rmsprop": lambda groups, lr: torch.optim.RMSprop(groups, lr, alpha=0.9, eps=1e-7),
    "adam": lambda groups, lr: torch.optim.Adam(groups, lr),
    "adamw": lambda groups, lr: torch.optim.AdamW(groups, lr),
    "sgd": lambda groups, lr: torch.optim.SGD(groups, lr, momentum=0.9, nesterov=True),
}
# Factor on the learning rate at a given share of all steps.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda share: 1.0,
    "linear": lambda share: 1.0 - share,
    "cosine": lambda share: 0.5 * (1.0 + math.cos(math.pi * share)),
    # Wong et al. 2020: up to the peak in the first two fifths, then down to 0.
    "cyclic": lambda share: min(share / 0.4, (1.0 - share) / 0.6),
    # Jeddi et al. 2020, "slow start, fast decay": up to the peak, then down to a hundredth of it.
    "slow_fast": lambda share: min(share / 0.5, 10.0 ** (2.0 - 4.0 * share)),
}

# Changes a batch before it is learned: (model, images, labels, share of training done, generator)
# -> (images, labels). Data augmentation and adversarial training both are such a step.
Prepare = Callable[[nn.Module, Tensor, Tensor, float, torch.Generator], tuple[Tensor, Tensor]]


def fit(
    model: nn.Module,
    train: Split,
    *,
    epochs: int,
    validation: Split | None = None,
    batch_size: int = 128,
    optimizer: str = "rmsprop",
    lr: float = 1e-3,
    groups: Mapping[str, Mapping[str, float]] | None = None,
    schedule: str = "constant",
    plateau: tuple[float, int] | None = None,
    patience: int | None = None,
    prepare: Prepare | None = None,
    replays: int = 1,
    dropout: bool = True,
    seed: int = 0,
) -> pd.DataFrame:
    """Train `model` in place on `train` and return its curves; an identical earlier call is reused.

    The model's parameters that require a gradient are trained, on the device that they are on, in
    bfloat16 autocast where that is faster. The model comes back in evaluation mode. With a
    `validation` split the weights of the best validation accuracy are kept.

    Args:
        train: images [N, C, H, W] as uint8, or as float32 in [0, 1]; labels as int64 [N], or as
            soft labels float32 [N, K].
        epochs: passes over `train`, at most.
        optimizer, schedule: names, keys of `OPTIMIZERS` and `SCHEDULES`.
        groups: options (lr, weight_decay) for the parameters whose names start with a prefix.
        plateau: (factor, epochs): multiply the rate by the factor when the validation loss has not
            fallen for more than that many epochs; needs the constant schedule.
        patience: stop after this many epochs without a better validation accuracy; None = never.
        prepare: changes each batch's images and labels before they are learned.
        replays: times that each batch is prepared and learned in a row (Shafahi et al. 2019).
        dropout: False leaves dropout and batch statistics off while learning.
        seed: of the order of the images, of dropout and of `prepare`.

    Returns:
        One row an epoch: epoch, loss, accuracy (running averages over the training batches as
        they were learned), and, with `validation`, validation_loss and validation_accuracy.

    Raises:
        ValueError: an argument is outside what is allowed; the message names it.
    """
    check_count("epochs", epochs)
    check_count("batch_size", batch_size)
    check_count("replays", replays)
    check_optimizer(optimizer)
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule: must be one of {', '.join(SCHEDULES)}, got {schedule!r}")
    if not lr > 0:
        raise ValueError(f"lr: must be above 0, got {lr}")
    if patience is not None and validation is None:
        raise ValueError("patience: early stopping needs a validation split")
    if plateau is not None:
        check_plateau(*plateau)
        if validation is None or schedule != "constant":
            raise ValueError("plateau: needs a validation split and the constant schedule")
    if not len(train.images):
        raise ValueError("train: holds no images")
    state, notes = cache.remember(
        _fit, model, train, epochs=epochs, validation=validation, batch_size=batch_size,
        optimizer=optimizer, lr=lr, groups=groups or {}, schedule=schedule, plateau=plateau,
        patience=patience, prepare=prepare, replays=replays, dropout=dropout, seed=seed,
    )  # fmt: skip
    model.load_state_dict(state)
    model.eval()
    return pd.DataFrame(notes["curves"])


def check_optimizer(name: str) -> None:
    """Raise ValueError if no optimizer goes by this name."""
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer: must be one of {', '.join(OPTIMIZERS)}, got {name!r}")


def check_plateau(factor: float, epochs: int) -> None:
    """Raise ValueError unless a plateau of so many epochs can multiply the rate by `factor`."""
    if not 0 < factor < 1:
        raise ValueError(f"plateau: the factor must lie in (0, 1), got {factor}")
    check_count("plateau", epochs)


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where the device computes faster in it (tensor cores, AMX), else float32."""
    if device.type == "cuda":
        faster = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        faster = device.type == "cpu" and torch.cpu._is_amx_tile_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=faster)


def _fit(
    model: nn.Module,
    train: Split,
    *,
    epochs: int,
    validation: Split | None,
    batch_size: int,
    optimizer: str,
    lr: float,
    groups: Mapping[str, Mapping[str, float]],
    schedule: str,
    plateau: tuple[float, int] | None,
    patience: int | None,
    prepare: Prepare | None,
    replays: int,
    dropout: bool,
    seed: int,
) -> tuple[dict[str, Tensor], dict]:
    device = next(model.parameters()).device
    train = Split(*(t.to(device) for t in train))
    generator = torch.Generator().manual_seed(seed)
    count = len(train.images)
    batches = math.ceil(count / batch_size) * replays
    descent = OPTIMIZERS[optimizer](_parameter_groups(model, groups), lr)
    if plateau is None:
        pace = torch.optim.lr_scheduler.LambdaLR(
            descent, lambda step: SCHEDULES[schedule](step / (epochs * batches))
        )
    else:
        pace = torch.optim.lr_scheduler.ReduceLROnPlateau(
            descent, factor=plateau[0], patience=plateau[1]
        )
    curves: list[dict[str, float]] = []
    best, best_state, waited = -1.0, None, 0
    progress = tqdm(total=epochs * batches, desc="fit", unit="batch", leave=False)
    with torch.random.fork_rng(), progress:
        torch.manual_seed(seed)
        for epoch in range(1, epochs + 1):
            order = torch.randperm(count, generator=generator).to(device)
            totals = torch.zeros(2, device=device)  # loss, hits; read once an epoch
            for batch in range(batches):
                first = batch // replays * batch_size
                rows = order[first : first + batch_size]
                images, labels = pixels(train.images[rows]), train.labels[rows]
                if prepare is not None:
                    model.eval()
                    share = ((epoch - 1) * batches + batch) / (epochs * batches)
                    images, labels = prepare(model, images, labels, share, generator)
                model.train(dropout)
                with autocast(device):
                    logits = model(images).float()
                loss = F.cross_entropy(logits, labels)
                descent.zero_grad()
                loss.backward()
                descent.step()
                if plateau is None:
                    pace.step()
                hits = (logits.argmax(1) == _classes(labels)).sum()
                totals += torch.stack([loss.detach() * len(rows), hits])
                progress.update()
            loss, accuracy = (totals / (count * replays)).tolist()
            row = {"epoch": epoch, "loss": loss, "accuracy": accuracy}
            if validation is not None:
                row["validation_loss"], row["validation_accuracy"] = _score(model, validation)
            if plateau is not None:
                pace.step(row["validation_loss"])
            curves.append(row)
            progress.set_postfix({k: f"{v:.4f}" for k, v in row.items() if k != "epoch"})
            if validation is None:
                continue
            waited += 1
            if row["validation_accuracy"] > best:
                best, waited = row["validation_accuracy"], 0
                best_state = copy.deepcopy(model.state_dict())
            if patience is not None and waited >= patience:
                break
    return best_state or model.state_dict(), {"curves": curves}


def _parameter_groups(
    model: nn.Module, groups: Mapping[str, Mapping[str, float]]
) -> list[dict[str, object]]:
    """The parameters to train; each goes with the first prefix that its name starts with."""
    members: dict[str, list[nn.Parameter]] = {prefix: [] for prefix in (*groups, "")}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            members[next(p for p in members if name.startswith(p))].append(parameter)
    for prefix, parameters in members.items():
        if prefix and not parameters:
            raise ValueError(f"groups: no parameter to train has a name starting with {prefix!r}")
    if not any(members.values()):
        raise ValueError("model: has no parameter that requires a gradient")
    return [{"params": p, **groups.get(prefix, {})} for prefix, p in members.items() if p]


@torch.no_grad()
def _score(model: nn.Module, split: Split) -> tuple[float, float]:
    """Mean loss and accuracy of the model as it is used: without dropout, in float32."""
    model.eval()
    device = next(model.parameters()).device
    loss, hits = torch.zeros(2, device=device)
    size = at_once(split.images, 1000)
    for images, labels in zip(*(t.split(size) for t in split), strict=True):
        logits, labels = model(pixels(images.to(device))), labels.to(device)
        loss += F.cross_entropy(logits, labels, reduction="sum")
        hits += (logits.argmax(1) == _classes(labels)).sum()
    count = len(split.images)
    return loss.item() / count, hits.item() / count


def _classes(labels: Tensor) -> Tensor:
    return labels if labels.ndim == 1 else labels.argmax(1)
