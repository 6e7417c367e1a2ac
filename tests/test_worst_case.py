"""The worst case: an image is right only where no attack in the ball turned it."""

import pytest
import torch
from toys import linear, trained_cnn

from advlib import records, worst_case
from advlib.attacks import Attack, fgsm, jsma, pgd
from advlib.data import Split
from advlib.evaluation import Subject
from advlib.worst_case import WORST, of_subject, worst_cases

EPS = 0.1
FGSM = Attack("FGSM", fgsm, eps=EPS)
PGD = Attack("PGD", pgd, eps=EPS, step=0.02, steps=10)


@pytest.fixture(scope="module")
def split():
    _, images, labels = trained_cnn()
    return Split(images[:40], labels[:40])


def made(split, *, seed=None, defense="none"):
    """A run in which a subject met two attacks, crafted on itself and on an undefended network."""
    network, _, _ = trained_cnn()
    subject = Subject(network, "cnn", defense, seed, undefended=network)
    run = records.Run("judge", {"dataset": "digits"})
    run.measure("t", [subject], split, [FGSM, PGD])
    return run, subject


def row(run, protocol, attack=WORST):
    rows = run.rows
    (found,) = rows[rows["protocol"].eq(protocol) & rows["attack"].eq(attack)].index
    return found


def test_it_is_the_conjunction_of_all_attacks_image_by_image(split):
    run, subject = made(split)
    assert worst_cases(run, "t", subject, split, eps=EPS, autoattacked=False) == (
        "AutoAttack was not run"
    )
    kept = run.outcomes
    clean = kept[row(run, "clean", "none")]
    for protocol in ("static", "white-box"):
        expected = clean & kept[row(run, protocol, "FGSM")] & kept[row(run, protocol, "PGD")]
        if protocol == "white-box":
            expected &= kept[row(run, "static", "FGSM")] & kept[row(run, "static", "PGD")]
        assert (kept[row(run, protocol)] == expected).all()


def test_autoattack_gets_what_is_left_and_only_that(split, monkeypatch):
    run, subject = made(split)
    worst_cases(run, "t", subject, split, eps=EPS, autoattacked=False)
    left = int(run.rows.loc[row(run, "white-box"), "value"] * len(split.labels) + 0.5)
    assert left > 0
    seen = []

    def turned(_network, some, _attack, *, seed):
        seen.append(len(some.labels))
        return Split(torch.zeros_like(some.images), some.labels)

    monkeypatch.setattr(worst_case, "craft", turned)
    again, subject = made(split)
    assert worst_cases(again, "t", subject, split, eps=EPS) == ""
    assert seen == [left]
    ones = (split.labels == trained_cnn()[0](torch.zeros(1, 1, 12, 12)).argmax()).float().mean()
    assert again.rows.loc[row(again, "white-box"), "value"] <= ones


def test_another_radius_norm_seed_or_defense_has_no_part(split):
    run, subject = made(split, seed=0)
    worst_cases(run, "t", subject, split, eps=EPS, autoattacked=False)
    value = run.rows.loc[row(run, "white-box"), "value"]

    mixed, subject = made(split, seed=0)
    wide = FGSM.but(eps=0.9)
    mixed.measure("t", [subject], split, [wide, Attack("JSMA", jsma, gamma=0.5)], ["white-box"])
    other = Subject(linear(torch.zeros(10, 144)), "cnn", "none", 1)
    mixed.measure("t", [other], split, [FGSM], ["clean", "white-box"])
    worst_cases(mixed, "t", subject, split, eps=EPS, autoattacked=False)
    rows = mixed.rows
    found = rows[rows["attack"].eq(WORST) & rows["protocol"].eq("white-box")]
    assert found["value"].tolist() == [value]
    assert set(of_subject(mixed, other)["seed"]) == {1}
