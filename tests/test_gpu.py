"""`make gpu`, tried on a pretend accelerator, at its smallest."""

import importlib.util
from pathlib import Path

import pytest
from pretend import DEVICE, Machine, to_device

from advlib import cache

spec = importlib.util.spec_from_file_location(
    "gpu", Path(__file__).with_name("benchmarks") / "gpu.py"
)
gpu = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gpu)


def test_attacks_and_defenses_agree_with_the_cpu(monkeypatch):
    monkeypatch.setattr(gpu, "COUNT", 20)
    monkeypatch.setattr(gpu, "ATTACKS", [a for a in gpu.ATTACKS if a.name != "AutoAttack"])
    monkeypatch.setattr(gpu, "RECIPE", gpu.Recipe(epochs=1, batch_size=64))
    with cache.off(), Machine():
        found = gpu.compared(DEVICE, to_device)
    assert found.keys() >= {"JSMA", "TRADES", "dominant filters", "distillation"}
    assert all(row["agree"] for row in found.values()), found
    assert len({row["device"] for row in found.values()}) > 2  # and not all of it 0


def test_speeds_are_taken_and_told(monkeypatch):
    monkeypatch.setattr(gpu.networks, "build", smaller(gpu.networks.build))
    monkeypatch.setattr(gpu, "autoattack", gpu.fgsm)  # AutoAttack takes minutes there
    with Machine():
        taken = gpu.speeds(DEVICE, to_device, images=64)
    assert all(value > 0 for value in taken.values())
    row = {"device": 0.5, "cpu": 0.505, "agree": True, "MiB": 12.0}
    text = gpu.report({"PGD": row}, taken, "pretend")
    assert "| PGD | 50.0 | 50.5 | yes | 12 |" in text
    assert "training ResNet-18" in text


def smaller(build):
    return lambda name, **options: build(name, width=4, **options)


def test_what_was_found_is_not_looked_for_again(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "OUT", tmp_path)
    assert gpu.kept("one", lambda: {"a": 1}) == {"a": 1}
    assert gpu.kept("one", lambda: pytest.fail("made again")) == {"a": 1}


def test_without_a_gpu_it_says_so(capsys, monkeypatch):
    monkeypatch.setattr(gpu.devices, "default", lambda: gpu.torch.device("cpu"))
    assert gpu.main() == 2
    assert "there is none" in capsys.readouterr().err


def test_every_study_with_a_paper_profile_is_run():
    profiles = {path.stem for path in Path("notebooks/paper").glob("*.yaml")}
    assert set(gpu.PROFILES) == profiles
