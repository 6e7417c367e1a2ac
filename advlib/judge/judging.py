"""A network under the book's protocols: what is left of its accuracy, the audit, the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import nn
from tqdm.auto import tqdm

from advlib import claims, records
from advlib.attacks import fgsm, pgd, square
from advlib.attacks.attack import Attack
from advlib.audit import audit
from advlib.checks import check_count, check_eps
from advlib.claims import HOLDS, ONLY, UNDECIDED, UNTESTED
from advlib.data import Split
from advlib.evaluation import Subject
from advlib.evidence import Evidence
from advlib.findings import percent
from advlib.records import Run
from advlib.statistics import wilson
from advlib.worst_case import WORST, of_subject, worst_cases

YOURS, PLAIN = "the defense", "none"  # of subjects
UNDEFENDED = "undefended"  # the model of the plain subject
TABLE = "protocols"
STATIC_ONLY = "holds only for images crafted on the undefended network"
GAIN = 0.01  # of accuracy that a defense must add to be called one
SAYS = "More robust than the undefended network"


@dataclass(frozen=True)
class Judgement:
    """What a network was found to be."""

    run: Run  # with its rows: each attack under each protocol
    subject: Subject
    audit: pd.DataFrame  # signs of masked gradients (`audit.audit`)
    verdict: str  # a word of `claims.VERDICTS`, or `STATIC_ONLY`
    reason: str

    @property
    def rows(self) -> pd.DataFrame:
        """The network's own rows."""
        return of_subject(self.run, self.subject)

    @property
    def worst(self) -> tuple[float, int]:
        """Share of the images that are right in the worst case, and how many images there are."""
        row = records.select(self.rows, attack=WORST, protocol="white-box").iloc[0]
        return float(row["value"]), int(row["n"])

    @property
    def says(self) -> str:
        """The result in two sentences."""
        share, count = self.worst
        low, high = wilson(round(share * count), count)
        reason = f" ({self.reason})" if self.reason else ""
        return (
            "In the worst case over the white-box attacks the network is right on "
            f"{percent(share)} of {count:,} images (95 % interval {100 * low:.1f} to "
            f"{percent(high)}). "
            f"“{SAYS}”: {self.verdict}{reason}."
        )


def judge(
    run: Run,
    subject: Subject,
    split: Split,
    *,
    eps: float,
    step: float | None = None,
    steps: int = 100,
    restarts: int = 5,
    queries: int = 1000,
    autoattacked: bool = True,
) -> Judgement:
    """Attack the network under every protocol that it has a network for, audit it, and judge it.

    Under `white-box` FGSM, PGD, PGD by float32's own gradient and Square attack the network itself;
    AutoAttack gets the images that these leave. Under `static` and `adaptive` FGSM and PGD take the
    subject's `undefended` and `untricked`. The undefended network meets FGSM, PGD and AutoAttack,
    crafted on itself. The worst case counts an image as right where no
    attack of the protocol turned it; under `white-box` none of any protocol.

    Args:
        run: keeps the rows; those of several networks, if they have different names.
        subject: of `under_test`.
        split: images uint8 [N, C, H, W] and their classes int64 [N].
        eps: radius of the L-inf ball in pixel units, above 0.
        step, steps, restarts: of PGD; a step of None is eps / 4.
        queries: of Square, an image.
        autoattacked: whether AutoAttack, up to 10,000 passes an image, is run.

    Raises:
        ValueError: an argument is outside what is allowed; the message names it.
    """
    check_eps(eps)
    if eps == 0:
        raise ValueError("eps: must be above 0, got 0")
    for name, count in (("steps", steps), ("restarts", restarts), ("queries", queries)):
        check_count(name, count)
    step = eps / 4 if step is None else step
    fast = Attack("FGSM", fgsm, eps=eps)
    gradual = Attack("PGD", pgd, eps=eps, step=step, steps=steps, restarts=restarts)
    asking = Attack("Square", square, eps=eps, steps=queries)
    others = ["static"] * (subject.undefended is not None)
    others += ["adaptive"] * (subject.untricked is not None)
    plain = _undefended(subject)
    last: dict[str, Any] = {"eps": eps, "autoattacked": autoattacked}
    known = plain is not None and not of_subject(run, plain).empty
    with _stages(6 + (plain is not None)) as stage:
        with stage("clean, and from other networks"):
            run.measure(TABLE, [subject], split, [fast, gradual], ["clean", *others])
        with stage("FGSM and PGD"):
            run.measure(TABLE, [subject], split, [fast, gradual], ["white-box"])
        with stage("PGD by float32's gradient"):
            naive = "float32"
            run.measure(TABLE, [subject], split, [gradual], ["white-box"], gradient=naive)
        with stage("Square"):
            run.measure(TABLE, [subject], split, [asking], ["white-box"])
        with stage("AutoAttack"):
            missing = worst_cases(run, TABLE, subject, split, **last)
        if plain and not known:
            with stage("the undefended network"):
                protocols = ["clean", "static", "white-box"]
                run.measure(TABLE, [plain], split, [fast, gradual], protocols)
                worst_cases(run, TABLE, plain, split, **last)
        with stage("audit"):
            signs = audit(
                subject, split, eps=eps, step=step, steps=steps, restarts=restarts,
                queries=queries,
            )  # fmt: skip
    signs = signs[signs["check"].ne("AutoAttack stronger than PGD")]  # the worst case has it
    return Judgement(run, subject, signs, *_verdict(run, subject, signs, missing))


def under_test(
    network: nn.Module,
    name: str,
    *,
    undefended: nn.Module | None = None,
    untricked: nn.Module | None = None,
) -> Subject:
    """The network as a subject: with the undefended one, and the same with its trick undone."""
    return Subject(network, name, YOURS, undefended=undefended, untricked=untricked)


def _undefended(subject: Subject) -> Subject | None:
    if (network := subject.undefended) is None:
        return None
    return Subject(network, UNDEFENDED, PLAIN, undefended=network)


def _verdict(run: Run, subject: Subject, signs: pd.DataFrame, missing: str) -> tuple[str, str]:
    if subject.undefended is None:
        return UNTESTED, "no undefended network was given to compare it with"
    condition = {
        "rows": {"model": subject.model, "attack": WORST},
        "than": {"model": UNDEFENDED, "attack": WORST},
        "is": "at least",
        "margin": GAIN,
    }
    claim = {"says": SAYS, "about": "robustness", "condition": [condition]}
    verdict, reason = claims.judge(claim, Evidence.of(run.rows, run.outcomes), "static")
    if verdict != HOLDS:
        return (STATIC_ONLY if verdict == ONLY else verdict), reason
    warned = signs.loc[signs["verdict"].eq("warn"), "check"].to_list()
    doubts = [f"the audit warns of {', '.join(warned)}"] if warned else []
    doubts += [missing] if missing else []
    return (UNDECIDED, "; ".join(doubts)) if doubts else (HOLDS, "")


@contextmanager
def _stages(count: int) -> Iterator[Any]:
    """A bar over the stages, each named while it runs."""
    with tqdm(total=count, desc="judge", unit="stage") as bar:

        @contextmanager
        def stage(name: str) -> Iterator[None]:
            bar.set_postfix_str(name)
            yield
            bar.update()

        yield stage


def figures(judgement: Judgement) -> Mapping[str, Any]:
    """The judgement as values for JSON: verdict, worst case, every row, every sign."""
    share, count = judgement.worst
    rows = judgement.run.rows[
        ["model", "defense", "attack", "eps", "protocol", "gradient", "n", "value"]
    ]
    return {
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "worst_case": {"accuracy": share, "images": count},
        "rows": rows.astype(object).where(rows.notna(), None).to_dict("records"),
        "audit": judgement.audit.to_dict("records"),
    }
