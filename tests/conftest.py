"""What every test shares: a cache of its own, and a small trained network."""

from __future__ import annotations

import pytest

from advlib import data, models, training


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Tests neither read the user's cache nor write to it."""
    monkeypatch.setenv("ADVLIB_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    return data.load("digits", size=16, train=600, test=200, device="cpu")


@pytest.fixture(scope="session")
def shallow(digits, tmp_path_factory):
    """A shallow CNN trained on the digits for a second or two. Tests must not change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADVLIB_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        model = models.build("shallow_cnn", size=16)
        training.fit(model, digits.train, epochs=6, batch_size=32, optimizer="adam")
    return model
