import multiprocessing
import os
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from advlib import cache, models
from advlib.attacks import fgsm, pgd


def make(marks: str, value: float):
    """A slow piece of work that leaves a mark each time it is done."""
    Path(marks, f"{os.getpid()}-{time.monotonic_ns()}").touch()
    time.sleep(0.3)
    return {"result": torch.full((3,), value)}, {"value": value}


def remember_make(marks, value, folder):
    os.environ["ADVLIB_CACHE"] = str(folder)
    tensors, notes = cache.remember(make, str(marks), value)
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


def test_a_damaged_entry_is_made_anew(tmp_path, marks):
    remember_make(marks, 1.0, tmp_path)
    (entry,) = (tmp_path / "make").glob("*.safetensors")
    entry.write_bytes(entry.read_bytes()[:-5])
    remember_make(marks, 1.0, tmp_path)
    assert len(list(marks.iterdir())) == 2


def test_nothing_half_written_gets_the_name(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")

    def fail(part):
        part.write_text("ha")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cache.write_whole(target, fail)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_fill_replaces_what_stands_between_two_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x -->\nold\n<!-- end of x -->\nb\n")
    cache.fill(page, "x", "new\n")
    assert page.read_text() == "a\n<!-- x -->\nnew\n<!-- end of x -->\nb\n"
    cache.fill(page, "y", "nothing to fill")
    assert "nothing" not in page.read_text()


def test_values_that_differ_get_different_names():
    one = models.build("shallow_cnn")
    other = models.build("shallow_cnn", seed=1)
    frozen = models.build("shallow_cnn").requires_grad_(False)
    values = [
        1, 1.0, True, "1", None, [], [1], [[1]], {}, {"a": 1}, {"a": 2}, {"b": 1},
        torch.zeros(2), torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64), torch.ones(2),
        one, other, frozen, fgsm, pgd, partial(fgsm, eps=0.1), partial(fgsm, eps=0.2),
    ]  # fmt: skip
    assert len({cache.digest(value) for value in values}) == len(values)


def test_equal_content_gets_the_same_name():
    assert cache.digest(models.build("base_cnn")) == cache.digest(models.build("base_cnn"))
    assert cache.digest({"a": 1, "b": 2}) == cache.digest({"b": 2, "a": 1})
    channels_last = torch.rand(2, 3, 4, 4)
    again = channels_last.contiguous(memory_format=torch.channels_last)
    assert cache.digest(channels_last) == cache.digest(again)


def test_what_has_no_content_to_name_is_refused():
    with pytest.raises(TypeError, match="cannot name"):
        cache.digest(object())
    bound = nn.Linear(1, 1)
    with pytest.raises(TypeError, match="cannot name"):
        cache.digest(lambda: bound)  # a closure hides what it depends on


def test_comments_docstrings_and_layout_do_not_count():
    plain = "def f(x):\n    return x + 1\n"
    dressed = '"""Docs."""\ndef f( x ):\n    """More."""\n    # why\n    return (x + 1)\n'
    assert cache._meaning(plain) == cache._meaning(dressed)
    assert cache._meaning(plain) != cache._meaning(plain.replace("1", "2"))


def test_a_functions_name_covers_the_modules_it_uses():
    assert "advlib.attacks.contract" in cache._used_by("advlib.attacks.gradient")
    assert "advlib.records" not in cache._used_by("advlib.attacks.gradient")
