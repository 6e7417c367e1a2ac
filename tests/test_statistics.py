import numpy as np
import pandas as pd
import pytest
from made_up import rows

from advlib.statistics import (
    at_chance,
    crossed,
    images_behind,
    interval,
    mean_interval,
    nearest_protocol,
    over_seeds,
    wilson,
)


def test_wilson_is_the_textbook_interval():
    low, high = wilson(45, 50)  # Wilson 1927: (0.7864, 0.9565)
    assert (low, high) == (pytest.approx(0.7864, abs=5e-5), pytest.approx(0.9565, abs=5e-5))


def test_mean_interval_is_students():
    low, high = mean_interval([0.5, 0.4, 0.6])
    half = 4.302653 * 0.1 / 3**0.5  # t(0.975, 2) times the standard error
    assert (low, high) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half))
    assert mean_interval([0.9, 0.8, 1.0])[1] == 1  # a share reaches no further
    assert mean_interval([0.5, 0.5]) == (0.5, 0.5)
    assert all(v != v for v in mean_interval([0.5]))


def test_over_seeds_gives_intervals():
    summary = over_seeds(rows(static=[0.9, 0.8, 1.0], white_box=[0.1]))
    static, white = summary.to_dict("records")
    assert (static["seeds"], static["mean"]) == (3, pytest.approx(0.9))
    assert static["low"] < 0.9 < static["high"]
    assert (white["seeds"], white["low"]) == (1, pytest.approx(0.0552, abs=1e-4))  # Wilson, 10/100


def test_an_interval_covers_other_seeds_and_other_images():
    agreed = interval([0.0, 0.0, 0.0], 40)
    assert agreed == (0, pytest.approx(0.0876, abs=1e-4))  # Wilson, 0/40
    far_apart = interval([0.2, 0.5, 0.8], 100)
    assert far_apart == mean_interval([0.2, 0.5, 0.8])
    assert interval([0.4, 0.6], float("nan")) == mean_interval([0.4, 0.6])
    assert all(v != v for v in interval([0.4], float("nan")))


def test_a_mean_of_nested_samples_rests_on_fewer_images_than_the_largest():
    assert images_behind([1000, 1000]) == pytest.approx(1000)
    with pytest.raises(ValueError, match="counts: .* at least 1, not 0"):
        images_behind([1000, 0])
    sizes = [50, 100, 200, 500, 1000]
    count = images_behind(sizes)
    assert count == pytest.approx(255.1, abs=0.1)
    assert interval([1.0], 224.6) == interval([1.0], 224)
    right = np.random.default_rng(0).random((2000, 1000)) < 0.8
    means = np.mean([right[:, :size].mean(1) for size in sizes], axis=0)
    assert means.var() == pytest.approx(0.8 * 0.2 / count, rel=0.1)
    covered = [low <= 0.8 <= high for low, high in (interval([mean], count) for mean in means)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_defenses_that_guess_are_told():
    measured = rows(clean=[0.9]).assign(attack="none")
    guessing = rows(clean=[0.12]).assign(attack="none", defense="guesses")
    both = pd.concat([measured, guessing])
    assert at_chance(both, classes=10) == ["guesses"]
    assert at_chance(both, classes=100) == []


def test_the_nearest_protocol_is_the_one_that_meets_the_papers_figures():
    attacks = [f"attack {n}" for n in range(8)]
    paper = pd.DataFrame({"attack": attacks, "value": [0.5 + n / 100 for n in range(8)]})
    off = {"static": 0.02, "white-box": -0.3}
    measured = pd.concat(
        [
            paper.assign(protocol=p, gradient="exact", value=paper["value"] + d)
            for p, d in off.items()
        ]
    )
    summary, chance = nearest_protocol(measured, paper.head(7), keys=["attack"])
    assert summary["figures"].tolist() == [7, 7]
    assert summary["mean difference"].to_dict() == pytest.approx({"static": 2, "white-box": -30})
    assert summary["root mean square"].to_dict() == pytest.approx({"static": 2, "white-box": 30})
    assert chance == pytest.approx(2 / 2**7)  # all signs alike
    same = measured.assign(value=0.4)
    assert nearest_protocol(same, paper, keys=["attack"])[1] == 1.0


def study_without_an_effect(dice, seeds, images, *, of_seeds):
    """Differences [S, n] of two defenses that are equally good: images differ in how hard they are,
    networks by their seeds."""
    hard = dice.normal(0, 1, images)

    def right():
        of_network = dice.normal(0, of_seeds, (seeds, 1))
        return of_network + hard + dice.normal(0, 0.7, (seeds, images)) > 0

    return right().astype(float) - right()


@pytest.mark.parametrize("of_seeds", [0.0, 0.1, 0.4])
@pytest.mark.parametrize(("seeds", "images"), [(3, 100), (3, 1000), (5, 1000)])
def test_of_a_thousand_studies_without_an_effect_about_one_in_twenty_shows_one(
    seeds, images, of_seeds
):
    dice = np.random.default_rng(seeds + images)
    found = 0
    for _ in range(1000):
        low, _, high = crossed(study_without_an_effect(dice, seeds, images, of_seeds=of_seeds))
        found += not low <= 0 <= high
    assert found <= 64  # 50, and two standard deviations of a count


def test_images_that_all_agree_prove_little():
    low, mean, high = crossed(np.zeros((3, 40)))
    assert mean == 0
    assert low == pytest.approx(-high)
    assert 0.02 < high < 0.06
    assert crossed(np.zeros((3, 10_000)))[2] < 2e-4


def test_seeds_that_disagree_widen_the_interval():
    agree = np.tile(np.arange(1000) < 100, (3, 1)).astype(float)
    disagree = agree.copy()
    disagree[0], disagree[1] = 0, np.arange(1000) < 200
    assert crossed(disagree)[1] == pytest.approx(crossed(agree)[1])
    assert crossed(disagree)[0] < 0 < crossed(agree)[0]
