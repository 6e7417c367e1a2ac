"""The notebooks from their first cell to their last on a pretend GPU, at their smallest."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import nbformat
import pandas as pd
import pytest
from pretend import DEVICE, Machine

from advlib import devices, studies

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
        "train_steps": 1, "seeds": [0],
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


@pytest.mark.filterwarnings("ignore:.* encountered in scalar divide:RuntimeWarning")  # by no hits
@pytest.mark.parametrize("study", studies.names())
def test_every_cell_runs_on_a_gpu(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "default", lambda: DEVICE)
    matplotlib.use("agg")
    notebook = Path(__file__).parents[1] / "notebooks" / f"{study}.ipynb"
    space: dict = {}
    with Machine():
        for cell in nbformat.read(notebook, as_version=4).cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, f"{study}: {cell.source[:40]!r}", "exec"), space)
            if "parameters" in cell.metadata.get("tags", ()):
                assert SMALLEST[study].keys() <= space.keys()
                space.update(SMALLEST[study])
    assert space["images"].train.images.device == DEVICE
    matplotlib.pyplot.close("all")
    rows = pd.read_csv(tmp_path / "results" / study / "records.csv")
    assert len(rows) > 20
    assert rows["value"].notna().mean() > 0.9  # a mean over the images that all get right: none
