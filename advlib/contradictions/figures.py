"""Figures recomputed from the rows of a paper's tables: each `take` is one of `OPERATIONS`.

A term of a figure, its `rows` or `than`, is a query of rows, a number, some numbers, or a figure.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from torch import nn

from advlib import networks
from advlib.checks import check_choice
from advlib.defenses import dominant_filters
from advlib.networks.layers import convolutions
from advlib.records import check_columns, select

Answers = list[float] | list[str]


def answers(figure: Mapping[str, Any], rows: pd.DataFrame) -> Answers:
    """What a figure comes to among these rows: numbers, or words.

    Raises:
        ValueError: a key, column, value or operation that there is none of; the message names it.
    """
    check_choice("figure", "take", figure)
    check_choice("take", figure["take"], OPERATIONS)
    operation = OPERATIONS[figure["take"]]
    for key in figure:
        check_choice(figure["take"], key, [*operation.needs, *operation.may, "take", "among"])
    for key in operation.needs:
        check_choice(figure["take"], key, figure)
    return operation.of(figure, select(rows, **figure.get("among", {})))


def _values(term: Any, rows: pd.DataFrame) -> list[float]:
    if not isinstance(term, Mapping):
        return [float(number) for number in (term if isinstance(term, list) else [term])]
    if "take" in term:
        return [float(answer) for answer in answers(term, rows)]
    return select(rows, **term)["value"].to_list()


def _mean(term: Any, rows: pd.DataFrame) -> float:
    values = _values(term, rows)
    return sum(values) / len(values)


def _summary(of: Callable[[list[float]], list[float]]) -> _Operation:
    """An operation on the values of one term."""
    return _Operation(lambda figure, rows: of(_values(figure["rows"], rows)), ("rows",))


def _arithmetic(of: Callable[[float, float], float]) -> _Operation:
    """An operation on the means of two terms, or, with `by`, on each pair of rows."""

    def computed(figure: Mapping[str, Any], rows: pd.DataFrame) -> Answers:
        if "by" not in figure:
            return [of(_mean(figure["rows"], rows), _mean(figure["than"], rows))]
        groups = _groups(figure, rows)
        if any(len(first) * len(second) != 1 for first, second in groups):
            raise ValueError(f"by: must tell all rows apart, got {figure['by']}")
        return [of(first.iloc[0], second.iloc[0]) for first, second in groups]

    return _Operation(computed, ("rows", "than"), ("by",))


def _groups(figure: Mapping[str, Any], rows: pd.DataFrame) -> list[tuple[pd.Series, pd.Series]]:
    """The values of `rows` and of `than` for each of the same values of the columns `by`.

    If `than` is one row, it stands beside each.
    """
    check_columns(rows, figure["by"])
    first, second = (select(rows, **figure[term]) for term in ("rows", "than"))
    pairs = dict(list(first.groupby(figure["by"], sort=False)["value"]))
    if len(second) == 1:
        return [(values, second["value"]) for values in pairs.values()]
    others = dict(list(second.groupby(figure["by"], sort=False)["value"]))
    if set(pairs) != set(others):
        raise ValueError(f"by: rows has {sorted(pairs)} where than has {sorted(others)}")
    return [(values, others[key]) for key, values in pairs.items()]


def _higher(figure: Mapping[str, Any], rows: pd.DataFrame) -> Answers:
    """In how many groups all of `rows` lie above all of `than`; how many rows, without `by`."""
    if "by" in figure:
        pairs = [(first.min(), second.max()) for first, second in _groups(figure, rows)]
    else:
        bound = _mean(figure["than"], rows)
        pairs = [(value, bound) for value in _values(figure["rows"], rows)]
    return [sum(first > second for first, second in pairs), len(pairs)]


def _equal(figure: Mapping[str, Any], rows: pd.DataFrame) -> Answers:
    """In how many groups all of `rows` and of `than` are the same."""
    pairs = _groups(figure, rows)
    return [sum(pd.concat(pair).nunique() == 1 for pair in pairs), len(pairs)]


def _multiples(figure: Mapping[str, Any], rows: pd.DataFrame) -> Answers:
    """How many values are, to four decimals, a whole number of 1 / `parts`.

    With a `column` the parts are that many for each unit of the row's number there.
    """
    values, parts = _values(figure["rows"], rows), figure["parts"]
    each = [1.0] * len(values)
    if "column" in figure:
        check_columns(rows, [figure["column"]])
        each = select(rows, **figure["rows"])[figure["column"]].to_list()
    fit = [
        abs(round(value * parts * of) / (parts * of) - value) < 5e-5 + 1e-9
        for value, of in zip(values, each, strict=True)
    ]
    return [sum(fit), len(fit)]


def _at_highest(figure: Mapping[str, Any], rows: pd.DataFrame) -> Answers:
    """What stands in `column` where the value is highest."""
    check_columns(rows, [figure["column"]])
    chosen = select(rows, **figure["rows"])
    return [chosen.loc[chosen["value"].idxmax(), figure["column"]]]


def _parameters(figure: Mapping[str, Any], _rows: pd.DataFrame) -> Answers:
    """How many parameters of a network are `of` a kind, for each `share` of dominant filters."""
    model, kind = networks.build(figure["model"]), figure["of"]
    shares = figure.get("share", [1.0])
    return [float(_counted(model, kind, share)) for share in shares]


def _counted(model: nn.Module, kind: str, share: float) -> int:
    every = sum(weight.numel() for weight in model.parameters())
    dense = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    filters = convolutions(model).values()
    moved = sum(
        sum(weight[0].numel() for weight in layer.parameters())
        * dominant_filters.kept(share, layer.out_channels)
        for layer in filters
    )
    of_filters = sum(weight.numel() for layer in filters for weight in layer.parameters())
    counts = {
        "all": every,
        "convolutions": of_filters,
        "first dense layer": sum(weight.numel() for weight in dense[0].parameters()),
        "dominant filters": moved,
        "other filters": of_filters - moved,
        "all but dominant filters": every - moved,
    }
    check_choice("of", kind, counts)
    return counts[kind]


def _shares(figure: Mapping[str, Any], rows: pd.DataFrame) -> Answers:
    every = _parameters({"model": figure["model"], "of": "all"}, rows)[0]
    return [float(count) / float(every) for count in _parameters(figure, rows)]


class _Operation(NamedTuple):
    of: Callable[[Mapping[str, Any], pd.DataFrame], Answers]
    needs: Sequence[str]  # keys
    may: Sequence[str] = ()


OPERATIONS = {
    "values": _summary(lambda values: values),
    "mean": _summary(lambda values: [sum(values) / len(values)]),
    "highest": _summary(lambda values: [max(values)]),
    "range": _summary(lambda values: [min(values), max(values)]),
    "sum": _arithmetic(operator.add),
    "difference": _arithmetic(operator.sub),
    "product": _arithmetic(operator.mul),
    "ratio": _arithmetic(operator.truediv),
    "relative gain": _arithmetic(lambda after, before: after / before - 1),
    "times higher": _Operation(_higher, ("rows", "than"), ("by",)),
    "times equal": _Operation(_equal, ("rows", "than", "by")),
    "multiples": _Operation(_multiples, ("rows", "parts"), ("column",)),
    "at highest": _Operation(_at_highest, ("rows", "column")),
    "parameters": _Operation(_parameters, ("of", "model"), ("share",)),
    "share of parameters": _Operation(_shares, ("of", "model"), ("share",)),
}
