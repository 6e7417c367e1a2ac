import copy
import itertools

import pytest
import torch
import torch.nn.functional as F

from advlib import cache, networks, training
from advlib.data import Split
from advlib.predictions import correct
from advlib.training import Recipe


def test_fit_learns_and_keeps_the_best_epoch(digits):
    model = networks.build("shallow_cnn", size=16)
    curves = training.fit(
        model, digits.train, Recipe(epochs=6, batch_size=32, seed=1), validation=digits.validation
    )
    assert not model.training
    best = curves["validation_accuracy"].max()
    assert correct(model, digits.validation).double().mean().item() == pytest.approx(best)
    assert best > 0.8
    assert curves["loss"].iloc[-1] < curves["loss"].iloc[0]


def test_patience_stops_training(digits):
    model = networks.build("shallow_cnn", size=16)
    curves = training.fit(
        model, digits.train, Recipe(epochs=50, patience=1, lr=1e-12), validation=digits.validation
    )
    assert len(curves) == 2  # the first epoch is the best, the second is no better


def test_the_same_call_gives_the_same_bits(digits, tmp_path, monkeypatch):
    def train(seed, folder):
        monkeypatch.setenv("ADVLIB_CACHE", str(tmp_path / folder))
        model = networks.build("shallow_cnn", size=16)
        training.fit(model, digits.train, Recipe(epochs=1, seed=seed))
        return model.network[0].weight.clone()

    assert torch.equal(train(3, "one"), train(3, "two"))
    assert not torch.equal(train(3, "one"), train(4, "one"))


def test_an_identical_call_is_reused(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("ADVLIB_CACHE", str(tmp_path))
    first, second = (networks.build("shallow_cnn", size=16) for _ in range(2))
    training.fit(first, digits.train, Recipe(epochs=1))
    (entry,) = (tmp_path / "fit").glob("*.safetensors")
    made = entry.stat().st_mtime_ns
    training.fit(second, digits.train, Recipe(epochs=1))
    assert [e.stat().st_mtime_ns for e in (tmp_path / "fit").glob("*.safetensors")] == [made]
    assert torch.equal(first.network[0].weight, second.network[0].weight)


def test_stages_are_what_as_many_epochs_make(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("ADVLIB_CACHE", str(tmp_path))
    model = networks.build("base_cnn", size=16)  # has dropout
    recipe = Recipe(epochs=5, batch_size=32, optimizer="adam", seed=2)
    made = training.stages(model, digits.train, recipe, [3, 1])
    assert list(made) == [3, 1]
    assert len(list((tmp_path / "fit").glob("*.safetensors"))) == 1
    for epochs, (network, curves) in made.items():
        alone = copy.deepcopy(model)
        known = training.fit(alone, digits.train, recipe.but(epochs=epochs))
        assert curves.equals(known)
        for ours, theirs in zip(network.parameters(), alone.parameters(), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"schedule": "linear"}, "schedule"),
        ({"plateau": (0.1, 1)}, "plateau"),
        ({"patience": 2}, "patience"),
        ({"prepare": lambda model, images, labels, context: (images, labels)}, "prepare"),
    ],
)
def test_stages_refuse_what_depends_on_later_epochs(digits, changed, named):
    model = networks.build("shallow_cnn", size=16)
    with pytest.raises(ValueError, match=f"^{named}: must"):
        training.stages(model, digits.train, Recipe(epochs=2, **changed), [1, 2])
    with pytest.raises(ValueError, match="^epochs: must"):
        training.stages(model, digits.train, Recipe(epochs=2), [1, 0])


def test_training_leaves_the_global_random_state_alone(digits):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    training.fit(networks.build("shallow_cnn", size=16), digits.train, Recipe(epochs=1, seed=9))
    assert torch.equal(torch.get_rng_state(), state)


def test_soft_labels_that_are_hard_teach_the_same(digits):
    hard = digits.train
    soft = Split(hard.images, F.one_hot(hard.labels, 10).float())
    models_ = [networks.build("shallow_cnn", size=16) for _ in range(2)]
    for model, split in zip(models_, (hard, soft), strict=True):
        training.fit(model, split, Recipe(epochs=1))
    torch.testing.assert_close(models_[0].network[0].weight, models_[1].network[0].weight)


def test_groups_set_the_learning_rate_of_a_prefix(digits):
    model = networks.build("shallow_cnn", size=16)
    before = copy.deepcopy(model)
    training.fit(
        model, digits.train, Recipe(epochs=1, optimizer="sgd", groups={"network.0": {"lr": 0.0}})
    )
    assert torch.equal(model.network[0].weight, before.network[0].weight)
    assert not torch.equal(model.network[4].weight, before.network[4].weight)


def test_parameters_without_a_gradient_are_not_trained(digits):
    model = networks.build("shallow_cnn", size=16)
    model.network[4].requires_grad_(False)
    before = model.network[4].weight.clone()
    training.fit(model, digits.train, Recipe(epochs=1))
    assert torch.equal(model.network[4].weight, before)


@pytest.mark.parametrize("schedule", training.SCHEDULES)
def test_schedules_peak_at_the_full_rate(schedule):
    rates = [training.SCHEDULES[schedule](share / 100) for share in range(101)]
    assert max(rates) == pytest.approx(1.0)
    assert min(rates) >= 0.0
    assert rates[-1] == (1.0 if schedule == "constant" else min(rates[50:]))


@pytest.mark.parametrize("schedule", ["cyclic", "slow_fast"])
def test_fine_tuning_schedules_start_slowly(schedule):
    assert training.SCHEDULES[schedule](0.0) == 0.0


def test_a_plateau_lowers_the_rate_after_its_patience(digits):
    contrary = Split(digits.test.images, (digits.test.labels + 1) % 10)  # its loss only rises
    weights = []

    def note(model, images, labels, context):
        if (6 * context.share) == round(6 * context.share):
            weights.append(model.network[0].weight.detach().clone())
        return images, labels

    recipe = Recipe(epochs=6, batch_size=100, optimizer="adam", plateau=(1e-8, 1), prepare=note)
    model = networks.build("shallow_cnn", size=16)
    with cache.off():
        training.fit(model, digits.train, recipe, validation=contrary)
    moved = [(b - a).abs().max().item() for a, b in itertools.pairwise(weights)]
    # The first epoch sets the mark, the second and third miss it, the fourth is learned no more.
    assert min(moved[:3]) > 1e-4
    assert max(moved[3:]) < 1e-6


def test_replays_show_each_batch_several_times_in_a_row(digits):
    seen = []

    def note(model, images, labels, context):
        seen.append((labels.tolist(), context.share))
        return images, labels

    few = Split(*(part[:50] for part in digits.train))
    model = networks.build("shallow_cnn", size=16)
    recipe = Recipe(epochs=2, batch_size=20, optimizer="sgd", lr=0.01, prepare=note, replays=3)
    with cache.off():
        curves = training.fit(model, few, recipe)
    assert [len(labels) for labels, _ in seen] == 2 * [20, 20, 20, 20, 20, 20, 10, 10, 10]
    assert all(seen[i][0] == seen[i - i % 3][0] for i in range(18))
    assert [share for _, share in seen] == [i / 18 for i in range(18)]
    assert all(0 <= row["accuracy"] <= 1 for row in curves.to_dict("records"))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"optimizer": "lion"}, "optimizer"),
        ({"schedule": "steps"}, "schedule"),
        ({"lr": 0.0}, "lr"),
        ({"patience": 2}, "patience"),
        ({"plateau": (1.0, 3)}, "plateau"),
        ({"plateau": (0.1, 0)}, "plateau"),
        ({"plateau": (0.1, 3)}, "plateau"),  # without a validation split
        ({"groups": {"head": {"lr": 0.1}}}, "groups"),
    ],
)
def test_impossible_options_are_named(digits, options, named):
    with pytest.raises(ValueError, match=f"^{named}: "):
        training.fit(
            networks.build("shallow_cnn", size=16), digits.train, Recipe(**{"epochs": 1} | options)
        )


def test_an_objective_is_an_argument(digits):
    """What is learned comes from the objective alone: here to call everything a three."""

    def threes(model, images, labels, context):
        logits = context.forward(model, images)
        return F.cross_entropy(logits, torch.full_like(labels, 3)), logits

    model = networks.build("shallow_cnn", size=16)
    with cache.off():
        curves = training.fit(model, digits.train, Recipe(epochs=3, objective=threes))
    guesses = correct(model, Split(digits.test.images, torch.full_like(digits.test.labels, 3)))
    assert guesses.float().mean() > 0.95
    assert curves["accuracy"].iloc[-1] < 0.2  # of the true labels


def test_what_a_step_remembers_is_its_own_training_s(digits):
    seen = []

    def note(model, images, labels, context):
        seen.append(context.memory.get("steps", 0))
        context.memory["steps"] = seen[-1] + 1
        return images, labels

    few = Split(*(part[:40] for part in digits.train))
    for _ in range(2):
        with cache.off():
            recipe = Recipe(epochs=1, batch_size=20, prepare=note)
            training.fit(networks.build("shallow_cnn", size=16), few, recipe)
    assert seen == [0, 1, 0, 1]


def test_evaluating_gives_each_part_its_own_mode_back(shallow):
    model = copy.deepcopy(shallow).train()
    model.network[3].eval()
    before = [part.training for part in model.modules()]
    with training.evaluating(model):
        assert not any(part.training for part in model.modules())
    assert [part.training for part in model.modules()] == before
