"""The steps of the study of fine-tuning on FGSM or JSMA images."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from torch import nn

from advlib.attacks import Attack, craft, fgsm
from advlib.data import Split
from advlib.evaluation import Subject
from advlib.papers import paper_rows
from advlib.predictions import correct
from advlib.records import Run, select
from advlib.studies import aft_fgsm_vs_jsma as study

SHIFTED = Attack("fgsm", fgsm, eps=0.25)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (30, 1, 4, 4), generator=generator, dtype=torch.uint8)
    return Split(pixels, torch.randint(3, (30,), generator=generator))


def test_a_draw_is_its_seeds(images):
    first, again, other = (study.drawn(images, 10, seed) for seed in (1, 1, 2))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert torch.equal(study.drawn(images, 5, 1).labels, first.labels[:5])


def test_counts_are_the_first_images_of_one_draw(network, images):
    run = Run("aft_fgsm_vs_jsma", {"dataset": "digits"})
    study.by_count(run, "I", Subject(network, "toy", seed=0), images, SHIFTED, [10, 30])
    right = correct(network, craft(network, images, SHIFTED))
    attacked = select(run.rows, attack="fgsm", protocol="white-box").set_index("images")["value"]
    assert attacked[10] == pytest.approx(right[:10].double().mean().item())
    assert attacked[30] == pytest.approx(right.double().mean().item())
    assert select(run.rows, attack="none")["protocol"].tolist() == ["clean", "clean"]


def test_four_cells_are_no_means_over_three_seeds():
    cells = select(paper_rows("aft_fgsm_vs_jsma"), table=list(study.TABLES))
    found = study.impossible(cells, seeds=3)
    assert found["printed"].round(2).tolist() == [87.54, 45.12, 76.5, 66.5]
    assert (found["nearest below"] < found["printed"]).all()
    assert (found["nearest above"] > found["printed"]).all()


def test_all_figures_of_the_text_but_one_come_out_of_its_tables():
    paper = paper_rows("aft_fgsm_vs_jsma")
    found = study.text_figures(select(paper, table=list(study.TABLES)), paper)
    last = found.iloc[-1]
    assert (last["its text"], last["its tables"]) == ("+25.2%", "+4.8%")
    assert (found["its tables"] == found["here"]).all()
    for line in found.iloc[:-1].itertuples(index=False):
        text, tables = (float(cell.strip("%")) for cell in line[3:5])
        assert text == pytest.approx(tables, abs=0.6)


def test_pictures_say_what_was_changed(network, images):
    one = images.first(1)
    after = Split(one.images.float() / 255, one.labels)
    after.images[0, 0, 0, :2] = 0.5
    shown, captions = study.pictures(network, one, {"two": after}, ["a", "b", "c"])
    ((line, row),) = shown.items()
    assert row.shape == (3, 1, 4, 4)
    assert captions[line][-1] == "changed: 2 of 16"
    assert (row[2] != 0.5).sum() == 2


def test_the_rate_starts_slowly_and_decays_fast():
    (factors,) = study.rates(100, 32).to_numpy()
    assert factors.tolist() == pytest.approx([0, 0.5, 1, 0.1])


def test_gamma_counts_pairs_of_features():
    rows = pd.DataFrame({"defense": "none", "attack": "jsma", "gamma": [0.02, 0.05], "value": 0.5})
    found = study.by_gamma(rows, paper_rows("aft_fgsm_vs_jsma"), 256)
    assert found["features changed, at most"].tolist() == [4, 12]
