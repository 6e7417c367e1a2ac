"""Judge your own defense: any PyTorch network through the book's protocols, audit and verdict."""

from advlib.judge.foreign import Foreign, load
from advlib.judge.judging import Judgement, judge, under_test
from advlib.judge.report import HTML, JSON, accuracies, bars, report, sentences, signs, write

__all__ = [
    "HTML", "JSON", "Foreign", "Judgement", "accuracies", "bars", "judge", "load", "report",
    "sentences", "signs", "under_test", "write",
]  # fmt: skip
