"""What the parameters of a study may be: one word per idea, each with its type and its bounds.

A study's `Settings` is asked before a batch starts and at the head of its notebook, so that an
impossible value never costs a run. Its defaults, the quick profile, stand in the notebook's
`parameters` cell, its paper profile in `notebooks/paper/STUDY.yaml`.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping, MutableMapping
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from advlib import data, networks
from advlib.attacks.jsma import check_gamma, check_theta
from advlib.attacks.patch import check_rotation, check_scale
from advlib.checks import check_choice, check_eps, check_step
from advlib.defenses.distillation import check_temperature
from advlib.training import check_optimizer


class Settings(BaseModel):
    """All parameters of a run of a study, checked. Its fields are those of the notebook's cell."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    study: ClassVar[str] = ""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """These values, checked.

        Raises:
            ValueError: one is missing, unknown, of the wrong type or impossible; the message begins
                with its name and says what is allowed.
        """
        for name in values:
            check_choice(f"{name}: {cls.study} has no such parameter", name, cls.model_fields)
        try:
            return cls(**values)
        except ValidationError as error:
            raise ValueError(_told(error)) from None

    @classmethod
    def read(cls, namespace: MutableMapping[str, Any]) -> Self:
        """The parameters in a notebook's namespace, `globals()`, checked as by `of`.

        What papermill handed over as text, "[0, 1]", is a list in the namespace from now on.
        """
        settings = cls.of({name: namespace[name] for name in cls.model_fields if name in namespace})
        namespace.update(settings.model_dump())
        return settings

    @classmethod
    def datasets(cls) -> list[str]:
        """The parameters that name a data set."""
        return [name for name, field in cls.model_fields.items() if NAMES_DATA in field.metadata]


def _told(error: ValidationError) -> str:
    """pydantic's first error in one line: the parameter, what is allowed, what it got."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    cause = first.get("ctx", {}).get("error")
    if cause is not None:
        said = str(cause)
        # A check of the code begins with its own argument's name.
        return said if said.startswith(name) else f"{name}: {re.sub(r'^[a-z_]+: ', '', said)}"
    said = first["msg"].replace("Input should", "must").replace("Field required", "is missing")
    return (
        f"{name}: {said}, got {first['input']!r}"
        if first["type"] != "missing"
        else f"{name}: {said}"
    )


def _listed(value: Any) -> Any:
    """The list that a text like "[0, 1]" stands for, anything else as it is.

    `papermill -p NAME '[0, 1]'` hands a list over as text (its -y does not).
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            return value  # refused as a text
    return value


def checked(check: Callable[[Any], object]) -> AfterValidator:
    """A check of the code, as a rule for a parameter."""

    def rule(value: Any) -> Any:
        try:
            check(value)
        except data.DataError as error:
            raise ValueError(str(error)) from error
        return value

    return AfterValidator(rule)


def _above_zero(value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"must be a number above 0, got {value}")


def _radius(value: float) -> None:
    check_eps(value)
    _above_zero(value)


def _distinct(values: list[int]) -> None:
    if not values or len(set(values)) < len(values):
        raise ValueError(f"must be distinct whole numbers from 0 on, at least one, got {values}")


def check_one_for_each(name: str, values: list, other: str, others: list) -> None:
    """Raise ValueError unless the list called `name` is as long as the `other` one."""
    if len(values) != len(others):
        count = len(others)
        raise ValueError(f"{name}: must be one for each of the {count} {other}, got {values}")


T = TypeVar("T")
NAMES_DATA = "names a data set"  # a mark on the types of such parameters
READ = BeforeValidator(_listed)

Some = Annotated[list[T], READ, Field(min_length=1)]  # one or more
Words = Annotated[list[str], READ]
Count = Annotated[int, Field(ge=1)]
CountOrNone = Annotated[int, Field(ge=0)]  # 0: all of them, or none of it
Distinct = Annotated[list[Annotated[int, Field(ge=0)]], READ, checked(_distinct)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Rate = Annotated[float, checked(_above_zero)]
Eps = Annotated[float, checked(_radius)]  # pixel units
Step = Annotated[float, checked(check_step)]  # pixel units
Theta = Annotated[float, checked(check_theta)]  # pixel units
Gamma = Annotated[float, checked(check_gamma)]
Temperature = Annotated[float, checked(check_temperature)]
PatchScale = Annotated[list[float], READ, checked(check_scale)]
PatchRotation = Annotated[float, checked(check_rotation)]  # degrees
Optimizer = Annotated[str, checked(check_optimizer)]
NetworkName = Annotated[str, checked(networks.check)]
Weights = Annotated[str, checked(lambda value: networks.check_weights("torchvision:any", value))]
DatasetName = Annotated[str, checked(data.check), NAMES_DATA]
DatasetNameOrNone = Annotated[str, checked(lambda v: v and data.check(v)), NAMES_DATA]
