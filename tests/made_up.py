"""Made-up rows, whose right verdicts and tables are known."""

from __future__ import annotations

import numpy as np
import pandas as pd


def rows(**values):
    """Rows of one accuracy for each protocol and seed: static=[0.9, 0.8], ..."""
    keys = {"defense": "dominant", "metric": "accuracy", "gradient": "exact", "n": 100}
    return pd.DataFrame(
        [
            keys | {"protocol": p.replace("_", "-"), "seed": seed, "value": value}
            for p, of_seed in values.items()
            for seed, value in enumerate(of_seed)
        ]
    )


def measured(**outcomes):
    """Rows and the outcomes behind them, white-box: dominant=[which are right, by seed], ..."""
    lines, kept = [], {}
    for defense, of_seed in outcomes.items():
        for seed, right in enumerate(of_seed):
            kept[len(lines)] = np.asarray(right)
            what = {"defense": defense, "seed": seed, "n": len(right), "split": "0123abcd"}
            lines.append(what | {"value": float(np.mean(right))})
    keys = {"metric": "accuracy", "gradient": "exact", "protocol": "white-box"}
    return pd.DataFrame(lines).assign(**keys), kept
