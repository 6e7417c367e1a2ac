"""Made-up rows, whose right verdicts and tables are known."""

from __future__ import annotations

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
