"""The attack lab: what its page needs of the networks that the synthesis judged.

Networks and images become scripts, as a page that is opened as a file may read nothing else.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from advlib import networks, plots
from advlib.attacks import fgsm, losses
from advlib.book.packed import pack
from advlib.predictions import logits

PAGE = Path("book/lab.md")
DIGITS = Path("book/lab/digits.png")  # 50 of MNIST's test images, ten in a line, labels in its text
SIDE = 28
RADII = (0.1, 0.2, 0.3)
NETWORKS = {  # by the name in the page's address: that in the book, and the reader's
    "undefended": ("none", "undefended network"),
    "finetuned": ("FGSM fine-tuning", "network fine-tuned on FGSM images"),
    "dominant": ("dominant filters", "network with tuned dominant filters"),
    "distilled": ("distillation", "network distilled at T = 100"),
    "pgd": ("PGD-AT", "PGD-trained network"),
}

BASE = "undefended"  # of whose bits the others are told apart: lab.js loads it first


class Step(NamedTuple):
    """A setting of the lab, and what to see there."""

    net: str
    on: str
    gradient: str
    says: str

    @property
    def crafted_on(self) -> str:
        """The network that lends its gradient."""
        return "undefended" if self.on == "static" else self.net

    @property
    def title(self) -> str:
        """Who is attacked, and how."""
        gradient = "" if self.gradient == "exact" else f", {self.gradient}"
        return f"{NETWORKS[self.net][1]}, {self.on}{gradient}"

    def address(self, eps: float) -> str:
        """What follows the page's name: after # within the page, after ? from another, where the
        theme takes what follows # for the place of a heading."""
        return f"net={self.net}&attack=fgsm&on={self.on}&gradient={self.gradient}&eps={eps:g}"


STEPS = (
    Step("undefended", "static", "exact", "Attack the undefended network: it falls."),
    Step(
        "dominant", "static", "exact",
        "Show the same images to the network whose dominant filters were tuned: it holds. This is "
        "what its paper measured.",
    ),
    Step("dominant", "white-box", "exact", "Attack that network itself: it falls, too."),
    Step(
        "distilled", "white-box", "float32",
        "Attack the distilled network by the gradient as float32 gives it: next to nothing falls. "
        "Then choose the exact gradient.",
    ),
    Step(
        "pgd", "white-box", "exact",
        "Attack the PGD-trained network itself: nearly all images are still right. Then choose "
        "PGD, and a wider ε: it bends.",
    ),
)  # fmt: skip


# Where the page of a study sends the reader to see its defense attacked.
OF_STUDY = {
    "aft_fgsm_vs_jsma": Step("finetuned", "white-box", "exact", ""),
    "dominant_filters": STEPS[1],
    "distillation_and_patches": STEPS[3],
    "synthesis": STEPS[4],
}


def digits() -> tuple[Tensor, Tensor]:
    """The lab's images, uint8 [50, 28, 28], and their labels int64 [50]."""
    with Image.open(DIGITS) as picture:
        labels = torch.tensor([int(label) for label in picture.text["labels"]])  # type: ignore[attr-defined]
        pixels = torch.from_numpy(np.array(picture))
    lines = pixels.view(-1, SIDE, pixels.shape[1] // SIDE, SIDE)
    return lines.transpose(1, 2).reshape(-1, SIDE, SIDE), labels


def network(name: str) -> nn.Module:
    """One of `NETWORKS`, as the lab has it: the published one, its weights rounded to 16 bits of
    mantissa. The last byte of each is then 0, and no reader has to load it."""
    model = networks.published(f"synthesis_mnist/{NETWORKS[name][0]}").eval()
    for weights in model.state_dict().values():
        bits = weights.view(torch.int32)
        bits.add_(0x80).bitwise_and_(~0xFF)
    return model


def packed(network: nn.Module, base: nn.Module | None = None) -> str:
    """The state as `engine.js` reads it: by planes of bytes, without the last one.

    With a `base`, where their bits differ: what was fine-tuned from it shares many.
    """
    planes = _planes(network) if base is None else _planes(network) ^ _planes(base)
    return pack(planes.tobytes())


def _planes(network: nn.Module) -> np.ndarray:
    """The bytes of its float32 parameters, [3, N], from the last but one to the first."""
    state = np.concatenate(
        [t.detach().float().numpy().ravel() for t in network.state_dict().values()]
    )
    return state.astype("<f4").view(np.uint8).reshape(-1, 4)[:, 1:].T


def write(static: Path, generated: Path) -> None:
    """Write the scripts into one folder; steps, table and picture of the page into the other."""
    models = {name: network(name) for name in NETWORKS}
    images, labels = digits()
    static.mkdir(parents=True, exist_ok=True)
    for name, model in models.items():
        base = None if name == BASE else models[BASE]
        script = f'LAB.waiting.network.{name} = "{packed(model, base)}";\n'
        (static / f"network-{name}.js").write_text(script, encoding="utf-8")
    pixels = pack(images.numpy().tobytes())
    told = "".join(map(str, labels.tolist()))
    titles = {name: title for name, (_, title) in NETWORKS.items()}
    script = (
        f"LAB.waiting.data = {json.dumps({'titles': titles, 'labels': told, 'pixels': pixels})};\n"
    )
    (static / "data.js").write_text(script, encoding="utf-8")
    steps = "".join(
        f'<li><a href="#{step.address(RADII[1])}">{html.escape(step.says)}</a></li>'
        for step in STEPS
    )
    (generated / "lab_steps.html").write_text(f"<ol>{steps}</ol>", encoding="utf-8")
    shown = images[:, None].float() / 255
    lines = [
        "| | " + " | ".join(f"ε = {eps}" for eps in RADII) + " |",
        "|:--|" + "--:|" * len(RADII),
    ]
    for step in STEPS:
        right = [_right(models, step, shown, labels, eps) for eps in RADII]
        lines.append(f"| {step.title} | " + " | ".join(map(str, right)) + " |")
    (generated / "lab_counts.md").write_text("\n".join(lines), encoding="utf-8")
    few = {step.title: craft(models, step, shown[:6], labels[:6], RADII[1]) for step in STEPS}
    guesses = {step.title: logits(models[step.net], few[step.title]).argmax(1) for step in STEPS}
    plots.style()
    figure = plots.examples(few, {row: [*map(str, g.tolist())] for row, g in guesses.items()})
    figure.savefig(generated / "lab.png")
    plots.plt.close(figure)


def craft(
    models: Mapping[str, nn.Module], step: Step, images: Tensor, labels: Tensor, eps: float
) -> Tensor:
    """The step's FGSM images of these, float32 [N, 1, 28, 28]."""
    loss = {"exact": losses.cross_entropy, "float32": losses.float32_cross_entropy}[step.gradient]
    return fgsm(models[step.crafted_on], images, labels, eps=eps, loss=loss)


def _right(
    models: Mapping[str, nn.Module], step: Step, images: Tensor, labels: Tensor, eps: float
) -> int:
    """How many of them the attacked network still gets right."""
    found = logits(models[step.net], craft(models, step, images, labels, eps)).argmax(1)
    return int((found == labels).sum())
