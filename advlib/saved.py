"""A saved run: its rows, the outcomes behind them, its provenance, and which runs may be joined."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from advlib.protocols import GRADIENTS, NONE, PROTOCOLS

RECORDS, OUTCOMES, VERDICTS = "records.csv", "outcomes.safetensors", "verdicts.csv"
PROVENANCE = "provenance.json"


def read(folder: Path) -> tuple[pd.DataFrame, dict[int, np.ndarray]]:
    """A saved run's rows, and the outcomes behind some of them, boolean [n] by the row's number.

    Rows that were saved when one column held protocol and gradient get today's two; runs of that
    time kept no outcomes.
    """
    rows = pd.read_csv(
        folder / RECORDS,
        dtype={"table": str, "split": str},
        keep_default_na=False,
        na_values=[""],
    )
    if "gradient" not in rows:
        attacked = rows["attack"].ne(NONE) & ~rows["protocol"].isin([NONE, "noise"])
        gradient = rows["protocol"].where(rows["protocol"].isin(GRADIENTS), "exact")
        rows["gradient"] = gradient.where(attacked, NONE)
        known = rows["protocol"].isin([*PROTOCOLS, NONE])
        rows["protocol"] = rows["protocol"].where(known, "white-box")
    if not (folder / OUTCOMES).is_file():
        return rows, {}
    return rows, {
        int(row): np.unpackbits(bits, count=int(rows.loc[int(row), "n"])).astype(bool)
        for row, bits in load_file(folder / OUTCOMES).items()
    }


def joined(
    folders: Sequence[Path], study: str, parameters: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The provenance of saved runs whose rows may count in a run of the study with these
    parameters: they are of the same study, and differ in nothing but the seeds, all of them.

    Raises ValueError, naming `join`, for others.
    """
    wanted, found = json.loads(json.dumps(dict(parameters))), []
    if folders and "seeds" not in wanted:
        raise ValueError(f"join: {study} has no seeds")
    for folder in folders:
        try:
            made = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
            of, had = made["study"], made["parameters"]
            _ = made["seconds"], made["data"], (folder / RECORDS).stat()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"join: {folder} is no run ({error!r})") from None
        if of != study:
            raise ValueError(f"join: {folder} is a run of {of}, not of {study}")
        for name in [*wanted, *had]:
            if name != "seeds" and had.get(name) != wanted.get(name):
                raise ValueError(
                    f"join: must be runs that differ in their seeds alone; {name} is "
                    f"{wanted.get(name)!r} here and {had.get(name)!r} in {folder}"
                )
        if twice := sorted({*had.get("seeds", ())} & {*wanted["seeds"]}):
            raise ValueError(f"join: {folder} has seeds that are there already: {twice}")
        wanted["seeds"] += had.get("seeds", [])
        found.append(made)
    return found


def parts(made: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The runs, each made in one go, of which a run with this provenance consists; of one that
    joined others its own comes last."""
    others = made.get("joined", [])
    names = ("source", "commit", "versions", "device", "threads", "started")
    theirs = [seed for part in others for seed in part["seeds"]]
    own = {
        "seeds": [seed for seed in made["parameters"]["seeds"] if seed not in theirs],
        "seconds": round(made["seconds"] - sum(part["seconds"] for part in others), 1),
    }
    return [*others, own | {name: made[name] for name in names}]
