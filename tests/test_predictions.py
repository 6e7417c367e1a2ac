import pytest
import torch
from toys import Fixed, rand, small_cnn

from advlib import cache, predictions
from advlib.data import Split


@pytest.fixture
def known():
    model = Fixed([[3.0, 2.0, 1.0], [1.0, 3.0, 2.0], [2.0, 3.0, 1.0], [1.0, 2.0, 3.0]]).eval()
    images = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1)
    return model, Split(images, torch.tensor([0, 1, 0, 0]))


def test_correct_top_k_and_confusion_by_hand(known):
    model, split = known
    assert predictions.correct(model, split).tolist() == [True, True, False, False]
    assert predictions.top_k(model, split, 2).tolist() == [True, True, True, False]
    assert predictions.top_k(model, split, 3).all()
    assert predictions.confusion(model, split).tolist() == [[1, 1, 1], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("k", [0, 4])
def test_top_k_refuses_more_classes_than_there_are(known, k):
    with pytest.raises(ValueError, match="^k: "):
        predictions.top_k(*known, k)


def test_the_best_classes_are_asked_for_once(monkeypatch):
    model, images = small_cnn(), rand(3, 2, 8, 8)
    best = predictions.logits(model, images).topk(3).indices
    assert torch.equal(predictions.best_classes(model, images, 3), best)
    assert predictions.best_classes(model, images, 9).shape == (3, 4)
    monkeypatch.setattr(predictions, "logits", None)
    assert torch.equal(predictions.best_classes(model, images, 3), best)


def test_of_equally_likely_classes_the_first_counts():
    model = Fixed([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]).eval()
    images = torch.arange(2, dtype=torch.uint8).view(2, 1, 1, 1)
    with cache.off():
        guesses = predictions.best_classes(model, images, 2)
    assert guesses.tolist() == [[1, 2], [0, 1]]
    labels = torch.tensor([1, 1])
    assert predictions.correct(model, Split(images, labels)).equal(guesses[:, 0] == labels)
