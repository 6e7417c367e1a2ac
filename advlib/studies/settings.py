"""What the parameters of a study may be: one word per idea, each with its type and its bounds.

A study's `Settings` is asked before a batch starts and at the head of its notebook, so that an
impossible value never costs a run. Its defaults, the quick profile, stand in the notebook's
`parameters` cell, its paper profile in `notebooks/paper/STUDY.yaml`.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Annotated, Any, ClassVar, Self, TypeVar, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

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
    paper: ClassVar[bool] = True  # it re-runs a paper, and has that paper's profile
    scale: ClassVar[tuple[str, ...]] = ()  # the parameters that say how large a run is

    def check_data(self, heads: Mapping[str, data.Head]) -> None:
        """Raise ValueError for what the data sets do not bear, as far as their heads tell, which
        come by the parameters that name the sets."""

    @classmethod
    def of(cls, values: Mapping[str, Any], *, head: Callable[[str], data.Head] = data.head) -> Self:
        """These values, checked. A text for what is no text is read: "5e-4", "true", "[0, 1]".

        Raises:
            ValueError: one is missing, unknown, of the wrong type or impossible, alone, with
                another, or for the data; the message begins with its name and says what is allowed.
        """
        cls._check_names(values)
        for name, value in values.items():
            try:
                str(value).encode()
            except UnicodeEncodeError:
                raise ValueError(
                    f"{name}: must be text that UTF-8 can hold, got {value!a}"
                ) from None
        kinds = {name: field.annotation for name, field in cls.model_fields.items()}
        try:
            made = cls(**{name: meant(value, kinds[name]) for name, value in values.items()})
        except ValidationError as error:
            raise ValueError(_told(error)) from None
        heads = {}
        for name in cls.datasets():
            if dataset := getattr(made, name):
                try:
                    heads[name] = head(dataset)
                except data.DataError as error:
                    raise ValueError(f"{name}: {error}") from error
        made.check_data(heads)
        return made

    @classmethod
    def read(cls, namespace: MutableMapping[str, Any]) -> Self:
        """The parameters in a notebook's namespace, `globals()`, checked as by `of`.

        What came as text, `papermill -p seeds '[0, 1]'`, has its own type in the namespace from now
        on. A name that no parameter has is refused where it stands in the notebook's `parameters`
        cell, or in the one that papermill puts after it.
        """
        for cell in namespace.get("In", ()):  # IPython's record of what was executed
            given = _literals(cell)
            if cell.startswith(INJECTED) or given & cls.model_fields.keys():
                cls._check_names(given)
        settings = cls.of({name: namespace[name] for name in cls.model_fields if name in namespace})
        namespace.update(settings.model_dump())
        return settings

    @classmethod
    def datasets(cls) -> list[str]:
        """The parameters that name a data set."""
        return [name for name, field in cls.model_fields.items() if NAMES_DATA in field.metadata]

    @classmethod
    def _check_names(cls, names: Iterable[str]) -> None:
        for name in names:
            check_choice(f"{name}: {cls.study} has no such parameter", name, cls.model_fields)


def meant(value: Any, kind: Any) -> Any:
    """What a text stands for where a `kind`, a field's annotation, is wanted: its own type alone
    decides. Whatever is no text, and what cannot be read, is returned as it is, to be refused.

        meant("010", int) -> 10; meant("[a, 'b c']", list[str]) -> ["a", "b c"]
    """
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                value = yaml.load(value, Loader=yaml.BaseLoader)  # all texts: it guesses no type
            except yaml.YAMLError:
                return value
        return [meant(part, item) for part in value] if isinstance(value, list) else value
    if not isinstance(value, str):
        return value
    text = value.strip()
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), value)
    if kind is int and re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    if kind is float and re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        return float(text)
    return value


def _literals(cell: str) -> set[str]:
    """The names that a cell of nothing but literals gives a value; none of another cell."""
    try:
        statements = ast.parse(cell).body
        for statement in statements:
            ast.literal_eval(statement.value)  # type: ignore[attr-defined]  # caught
        return {target.id for statement in statements for target in statement.targets}  # type: ignore[attr-defined]
    except (SyntaxError, ValueError, AttributeError):
        return set()


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


def _distinct(values: list) -> None:
    if len(set(values)) < len(values):
        raise ValueError(f"must be distinct, got {values}")


INJECTED = "# Parameters"  # the head of the cell that papermill puts in
T = TypeVar("T")
NAMES_DATA = "names a data set"  # a mark on the types of such parameters

Words = Annotated[list[str], checked(_distinct)]
Some = Annotated[list[T], Field(min_length=1), checked(_distinct)]  # one or more
Each = Annotated[list[T], Field(min_length=1)]  # one for each of another list
Count = Annotated[int, Field(ge=1)]
CountOrNone = Annotated[int, Field(ge=0)]  # 0: all of them, or none of it
Size = Annotated[int, Field(ge=1, le=1024)]  # side of the images, pixels
Width = Annotated[int, Field(ge=1, le=2**14)]  # channels
Class = Annotated[int, Field(ge=0)]  # by its number
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Rate = Annotated[float, checked(_above_zero)]
Eps = Annotated[float, checked(_radius)]  # pixel units
Step = Annotated[float, checked(check_step)]  # pixel units
Theta = Annotated[float, checked(check_theta)]  # pixel units
Gamma = Annotated[float, checked(check_gamma)]
Temperature = Annotated[float, checked(check_temperature)]
PatchScale = Annotated[list[float], checked(check_scale)]
PatchRotation = Annotated[float, checked(check_rotation)]  # degrees
Optimizer = Annotated[str, checked(check_optimizer)]
NetworkName = Annotated[str, checked(networks.check)]
Weights = Annotated[str, checked(lambda value: networks.check_weights("torchvision:any", value))]
DatasetName = Annotated[str, checked(data.check), NAMES_DATA]
DatasetNameOrNone = Annotated[str, checked(lambda v: v and data.check(v)), NAMES_DATA]
