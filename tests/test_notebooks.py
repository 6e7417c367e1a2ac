"""The notebooks from their first cell to their last, at their smallest: on a pretend GPU, and in
two parts that are joined."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import nbformat
import pandas as pd
import pytest
import torch
from pretend import DEVICE, Machine

from advlib import devices, records, studies

SMALLEST = {
    "primer": {
        "size": 12, "train_images": 60, "test_images": 30, "attacked_images": 10, "epochs": 1,
        "tune_epochs": 1, "control_epochs": 1, "linear_epochs": 1, "sizes": [8], "eps_curve": [0.1],
        "steps": 2, "steps_curve": [1, 2], "train_steps": 1, "temperatures": [1.0, 1000.0],
        "seeds": [0],
    },
    "judge": {
        "networks": ["advlib.judge.examples:masked", "advlib.judge.examples:undefended"],
        "attacked_images": 10, "steps": 2, "restarts": 1, "queries": 5,
    },
    "synthesis": {
        "train_images": 60, "epochs": 1, "tune_epochs": 1, "robust_epochs": 1, "few_images": 10,
        "steps": 2, "restarts": 1, "train_steps": 1, "queries": 5, "attacked_images": 10,
        "autoattacked": [],
    },
    "dominant_filters": {
        "size": 12, "train_images": 60, "test_images": 30, "attacked_images": 10,
        "autoattack_images": 2, "search_images": 1, "models": ["base_cnn"], "epochs": 1,
        "tune_epochs": 1, "control_epochs": 1, "eps_curve": [0.1], "steps": 2, "train_steps": 1,
    },
    "aft_fgsm_vs_jsma": {
        "size": 12, "train_images": 60, "width": 2, "epochs": 1, "tune_images": 20,
        "eps_curve": [0.05], "steps": 2, "gamma": 0.02, "gamma_curve": [0.02],
        "theta_curve": [1.0], "tune_lrs": [0.001], "counts": [5, 10], "few": 5, "control_epochs": 1,
        "autoattack_images": 2, "seeds": [0],
    },
    "patch_augmentation": {
        "train_images": 60, "epochs": 1, "variants": ["7-P1"], "tune_epochs": 1,
        "optimizers": ["adam"], "epochs_curve": [1, 2], "attack_steps": 2, "attacked_images": 10,
        "eps_curve": [0.15, 0.5], "steps_curve": [1, 2], "autoattack_images": 2,
        "autoattack_eps": 0.9, "autoattack_others": ["mixup"], "compare_epochs": 1,
        "train_steps": 1, "reference_epss": [0.15], "reference_epochs": 1, "seeds": [0],
    },
    "cross_resnet": {
        "train_images": 60, "models": ["resnet18", "resnet50"], "width": 2, "epochs": 1,
        "epss": [0.05], "eps_curve": [0.1], "steps": 2, "attacked_images": 10,
        "autoattack_images": 2,
    },
    "distillation_and_patches": {
        "size": 16, "models": ["base_cnn"], "weights": [""], "epochs": 1, "attacked_images": 20,
        "eps_curve": [0.05], "targets": [3], "patch_sizes": [4], "size_curve": [6],
        "patch_steps": 2, "patch_steps_curve": [1], "distilled_images": 60, "distilled_epochs": 1,
        "temperatures": [1.0], "curve_images": 40, "robust_epochs": 1, "robust_eps": 0.3,
        "train_steps": 1, "distilled_attacked": 10, "autoattack_images": 2, "steps": 2,
    },
}  # fmt: skip


pytestmark = pytest.mark.filterwarnings(
    "ignore:.* encountered in scalar divide:RuntimeWarning",  # by no hits
)


def execute(study: str, **more: object) -> dict:
    """Run a notebook's cells here, at its smallest; returns the names that they leave."""
    matplotlib.use("agg")
    space: dict = {}
    notebook = Path(__file__).parents[1] / "notebooks" / f"{study}.ipynb"
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, f"{study}: {cell.source[:40]!r}", "exec"), space)
        if "parameters" in cell.metadata.get("tags", ()):
            assert SMALLEST[study].keys() <= space.keys()
            space.update(SMALLEST[study], **more)
    matplotlib.pyplot.close("all")
    return space


@pytest.mark.parametrize("study", studies.names())
def test_every_cell_runs_on_a_gpu(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "default", lambda: DEVICE)
    with Machine():
        space = execute(study)
    assert space["images"].train.images.device == DEVICE
    rows = pd.read_csv(tmp_path / "results" / study / "records.csv")
    assert len(rows) > 20
    assert rows["value"].notna().mean() > 0.9  # a mean over the images that all get right: none


@pytest.mark.parametrize("study", [s for s in studies.names() if s not in ("primer", "judge")])
def test_two_parts_joined_are_the_whole(study, tmp_path, monkeypatch):
    """But for what a run does with one of its seeds alone, which each part does with its own."""
    monkeypatch.setattr(devices, "default", lambda: torch.device("cpu"))

    def run(name: str, *seeds: int) -> pd.DataFrame:
        monkeypatch.setenv("ADVLIB_RUN", str(tmp_path / name))
        execute(study, seeds=[*seeds])
        return pd.read_csv(tmp_path / name / "records.csv")

    whole = run("whole", 0, 1)
    run("part", 0)
    monkeypatch.setenv(records.JOIN, str(tmp_path / "part"))
    joined = run("joined", 1)
    names = [*whole.columns.drop("value")]
    both = joined.merge(whole, "outer", on=names, suffixes=("", " of the whole"), indicator=True)
    assert "right_only" not in set(both["_merge"])
    more = both[both["_merge"] == "left_only"]
    assert more["seed"].nunique() <= 1
    assert len(more) < len(whole) / 8
    same = both[both["_merge"] == "both"]
    pd.testing.assert_series_equal(same["value"], same["value of the whole"], check_names=False)
    assert joined.duplicated().sum() == whole.duplicated().sum()
