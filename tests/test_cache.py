import copy
import functools
import multiprocessing
import os
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from advlib import cache, devices, networks, records
from advlib.attacks import Attack, craft, fgsm, ifgsm, pgd
from advlib.data import Split, pixels
from advlib.training import Recipe

CPU = torch.device("cpu")


@cache.versioned("make", 1)
def make(marks: str, value: float):
    """A slow piece of work that leaves a mark each time it is done."""
    Path(marks, f"{os.getpid()}-{time.monotonic_ns()}").touch()
    time.sleep(0.3)
    return {"result": torch.full((3,), value)}, {"value": value}


def remember_make(marks, value, folder):
    os.environ["ADVLIB_CACHE"] = str(folder)
    tensors, notes = cache.remember(make, CPU, marks=str(marks), value=value)
    assert tensors["result"].tolist() == [value] * 3
    assert notes == {"value": value}


@pytest.fixture
def marks(tmp_path):
    (tmp_path / "marks").mkdir()
    return tmp_path / "marks"


def test_work_is_done_once_for_each_set_of_arguments(tmp_path, marks):
    for value in (1.0, 1.0, 2.0, 1.0):
        remember_make(marks, value, tmp_path / "cache")
    assert len(list(marks.iterdir())) == 2


def by_another(marks, value, folder):
    """The same work, done by another process."""
    worker = multiprocessing.get_context("fork").Process(
        target=remember_make, args=(marks, value, folder)
    )
    worker.start()
    worker.join()
    assert worker.exitcode == 0


def test_what_others_computed_counts_once_with_the_seconds_that_it_took(tmp_path, marks):
    by_another(marks, 1.0, tmp_path / "cache")
    start = cache.spared()
    for _ in range(3):
        remember_make(marks, 1.0, tmp_path / "cache")
    assert 0.29 < cache.spared() - start < 3
    between = cache.spared()
    for _ in range(2):
        remember_make(marks, 2.0, tmp_path / "cache")  # our own: the clock has it
    assert cache.spared() == between


def test_a_run_tells_all_seconds_of_its_results_wherever_they_were_spent(tmp_path, marks):
    by_another(marks, 1.0, tmp_path / "cache")
    run = records.Run("dominant_filters", {"dataset": "digits"})
    remember_make(marks, 1.0, tmp_path / "cache")
    assert 0.29 < run.provenance()["seconds"] < 3
    assert records.Run("dominant_filters", {"dataset": "digits"}).provenance()["seconds"] < 0.3


def test_two_processes_that_want_the_same_make_it_once(tmp_path, marks):
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=remember_make, args=(marks, 1.0, tmp_path / "cache"))
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert len(list(marks.iterdir())) == 1


def cut(content, _other):
    return content[:-5]


def flipped(content, _other):
    return content[:-1] + bytes([content[-1] ^ 1])


def zeroed(content, _other):
    return content[:-12] + bytes(12)


def another(_content, other):
    return other


@pytest.mark.parametrize("damage", [cut, flipped, zeroed, another])
def test_a_damaged_entry_is_made_anew(tmp_path, marks, damage):
    remember_make(marks, 1.0, tmp_path)
    (entry,) = (tmp_path / "make").glob("*.safetensors")
    remember_make(marks, 2.0, tmp_path)
    (other,) = set((tmp_path / "make").glob("*.safetensors")) - {entry}
    entry.write_bytes(damage(entry.read_bytes(), other.read_bytes()))
    remember_make(marks, 1.0, tmp_path)
    remember_make(marks, 1.0, tmp_path)
    assert len(list(marks.iterdir())) == 3


def test_a_cache_that_cannot_be_written_is_named(tmp_path, marks):
    place = tmp_path / "a file"
    place.touch()
    with pytest.raises(OSError, match=r"cache: cannot write .*a file.*ADVLIB_CACHE"):
        remember_make(marks, 1.0, place)


# What a key is made of


class Scaled(nn.Module):
    """A reader's own wrapper: its factor is a plain attribute."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, images):
        return self.factor * self.network(images)


class Undeclared(Scaled):
    pass


cache.versioned("a reader's wrapper", 1)(Scaled)
OFFSET = 0.1


def shifted(images, by=1.0):
    return images + by + OFFSET


cache.versioned("a reader's function", 1)(shifted)


def test_values_that_differ_get_different_names():
    one = networks.build("shallow_cnn")
    other = networks.build("shallow_cnn", seed=1)
    frozen = networks.build("shallow_cnn").requires_grad_(False)
    training = networks.build("shallow_cnn").train()
    values = [
        1, 1.0, True, "1", [], [1], [[1]], {}, {"a": 1}, {"a": 2}, {"b": 1}, 100.0, 100.00001,
        torch.zeros(2), torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64), torch.ones(2),
        one, other, frozen, training, Scaled(one, 100.0), Scaled(one, 100.00001),
        Scaled(other, 1.0), fgsm, pgd, partial(fgsm, eps=0.1), partial(fgsm, eps=0.2), shifted,
        partial(shifted, by=2.0), Attack("a", fgsm, eps=0.1), Attack("a", fgsm, eps=0.2),
        Attack("a", ifgsm, eps=0.1, step=0.1, steps=1),
        Recipe(epochs=1), Recipe(epochs=2), Recipe(epochs=1, lr=0.01),
    ]  # fmt: skip
    assert len({cache.digest(value) for value in values}) == len(values)


def test_equal_content_gets_the_same_name():
    assert cache.digest(networks.build("base_cnn")) == cache.digest(networks.build("base_cnn"))
    assert cache.digest({"a": 1, "b": 2}) == cache.digest({"b": 2, "a": 1})
    channels_last = torch.rand(2, 3, 4, 4)
    again = channels_last.contiguous(memory_format=torch.channels_last)
    assert cache.digest(channels_last) == cache.digest(again)
    assert cache.digest(Attack("one name", fgsm, eps=0.1)) == cache.digest(
        Attack("another", fgsm, eps=0.1)
    )


def test_the_layout_of_weights_counts():
    """It decides the last bits of what is computed with them."""
    one = nn.Conv2d(1, 2, 3)
    other = copy.deepcopy(one).to(memory_format=torch.channels_last)
    assert torch.equal(one.weight, other.weight)
    assert cache.digest(one) != cache.digest(other)


def test_a_setting_that_is_not_used_does_not_count():
    assert cache.digest({"a": 1, "later": None}) == cache.digest({"a": 1})


def test_a_buffer_that_is_not_saved_counts():
    def having(value):
        model = nn.Linear(1, 1).requires_grad_(False)
        model.weight.zero_()
        model.bias.zero_()
        model.register_buffer("threshold", torch.tensor(value), persistent=False)
        return cache.digest(model)

    assert having(1.0) != having(2.0)


def test_a_reader_s_global_counts(monkeypatch):
    before = cache.digest(shifted)
    monkeypatch.setattr(sys.modules[__name__], "OFFSET", 0.2)
    assert cache.digest(shifted) != before


def test_comments_names_and_places_do_not_count():
    """Two modules: one as it was, one with a comment, another function name, and elsewhere."""

    def compiled(source, module):
        space = {"__name__": module, "versioned": cache.versioned}
        exec(source, space)
        return space

    before = compiled('@versioned("the work", 1)\ndef work(x): return x', "advlib.here")
    after = compiled(
        '@versioned("the work", 1)\ndef renamed(x):\n    # why\n    return x', "advlib.there"
    )
    raised = compiled('@versioned("the work", 2)\ndef work(x): return x', "advlib.here")
    assert cache.digest(before["work"]) == cache.digest(after["renamed"])
    assert cache.digest(before["work"]) != cache.digest(raised["work"])


def test_threads_and_numbers_count(tmp_path, marks, monkeypatch):
    remember_make(marks, 1.0, tmp_path)
    for told in ({"threads": 64}, {"numbers": "bfloat17"}, {"device": "another"}):
        here = devices.describe(CPU)
        with monkeypatch.context() as patch:
            patch.setattr(devices, "describe", lambda device, t=here | told: t)
            remember_make(marks, 1.0, tmp_path)
    assert len(list(marks.iterdir())) == 4


def with_hook():
    model = nn.Linear(1, 1)
    model.register_forward_hook(lambda module, inputs, output: 2 * output)
    return model


def with_a_forward_of_its_own():
    model = nn.Linear(1, 1)
    model.forward = lambda images: images
    return model


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "cannot tell a object by its values"),
        (lambda images: images, r"what .*lambda.* computes. Declare it, @cache.versioned"),
        (Undeclared(nn.Linear(1, 1), 2.0), r"what Undeclared computes. Declare it"),
        (with_hook(), "has hooks"),
        (with_a_forward_of_its_own(), r"what .*lambda.* computes"),
        (functools.wraps(fgsm)(lambda *a, **k: fgsm(*a, **k)), "what fgsm computes"),
    ],
    ids=["object", "lambda", "class", "hook", "forward", "wrapper"],
)
def test_what_has_no_content_to_name_is_refused(value, says):
    with pytest.raises(TypeError, match=says):
        cache.digest(value)


def test_a_closure_is_refused_where_it_is_declared():
    def of(eps):
        return lambda model, images, labels: fgsm(model, images, labels, eps=eps)

    with pytest.raises(TypeError, match="takes eps from around it"):
        cache.versioned("mine", 1)(of(0.1))


def test_without_the_cache_anything_is_computed(digits, shallow):
    wrapped = Undeclared(shallow, 2.0).eval()
    split = Split(*(part[:20] for part in digits.test))
    attack = Attack("fgsm", fgsm, eps=0.1)
    with pytest.raises(TypeError, match="what Undeclared computes"):
        craft(wrapped, split, attack)
    with cache.off():
        made = craft(wrapped, split, attack)
    assert not torch.equal(made.images, pixels(split.images))
