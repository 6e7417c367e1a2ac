"""Whatever text comes in for a parameter: a run that means what was said, or a refusal by name.

`pytest tests/studies/test_any_text.py --hypothesis-profile thorough` tries 2,000 texts each way.
"""

from __future__ import annotations

import math
import re
from keyword import iskeyword
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from papermill.cli import _resolve_type as of_papermill

from advlib import studies
from advlib.batch.plan import schema

DEFAULTS = {name: schema(Path("notebooks", f"{name}.ipynb")) for name in studies.names()}
PARAMETERS = [(study, name) for study, defaults in DEFAULTS.items() for name in defaults]
ODD = [
    "", " ", "[", "]", "[]", "[[1]]", "[0", "[0, 0]", "[null]", "true", "False", "yes", "None",
    "nan", "inf", "-0", "-1", "010", "0x10", "1_0", "5e-4", "1e999", "1e-999", "٣", "½", "1,5",
    "1;2", "#", "{a: 1}", "*a", "&a [*a]", "!!python/name:os.system", "---", "a: b", "\x00",
    "\ud800", "'", '"', "folder:", "folder:/no/such", "parquet:.", "folder:\x00", "mnist ",
    "timm:", "torchvision:x", "torchvision:alexnet", "7-P1", "0-P1", "7-P0", "999-P9",
    "[1" + 5000 * "0" + "]", 5000 * "9", "[base_cnn]", "['base_cnn', \"base_cnn\"]", "[vgg16]",
    "default", "..", "/dev/null",
]  # fmt: skip
NUMBERS = st.one_of(st.integers(), st.floats(), st.integers(0, 2000), st.floats(0, 1))
TEXTS = st.one_of(
    st.sampled_from(ODD), st.text(max_size=20), NUMBERS.map(str), st.booleans().map(str),
    st.lists(NUMBERS, max_size=5).map(str), st.lists(st.sampled_from(ODD), max_size=3).map(str),
)  # fmt: skip


def means(value: object, text: str) -> bool:
    """The value is what a person reads in the text."""
    if isinstance(value, bool):
        return text.strip().lower() == str(value).lower()
    if isinstance(value, int | float):
        return math.isfinite(value) and value == float(text)
    if isinstance(value, list):
        parts = yaml.load(text, Loader=yaml.BaseLoader)
        return len(parts) == len(value) and all(map(means, value, parts))
    return value == text


def tried(study: str, name: str, call) -> object:
    """What the parameter became, or None for a refusal that names a parameter of the study."""
    try:
        return getattr(call(), name)
    except ValueError as error:
        said = str(error)
    assert re.match(r"\w*", said)[0] in DEFAULTS[study], said
    assert "\n" not in said
    return None


@given(st.sampled_from(PARAMETERS), TEXTS)
@settings(deadline=15_000)
def test_on_the_command_line(parameter, text):
    study, name = parameter
    kind = studies.settings_of(study, {})
    value = tried(study, name, lambda: kind.of({**DEFAULTS[study], name: text}))
    assert value is None or means(value, text)


@given(st.sampled_from(PARAMETERS), TEXTS)
@settings(deadline=15_000)
def test_through_papermill(parameter, text):
    study, name = parameter
    given_ = of_papermill(text)
    space = {**DEFAULTS[study], name: given_, "In": [f"# Parameters\n{name} = {given_!r}\n"]}
    value = tried(study, name, lambda: studies.settings_of(study, {}).read(space))
    assert value is None or means(value, text if isinstance(given_, str) else str(given_))
    assert value is None or space[name] == value


@pytest.mark.parametrize("study", studies.names())
@given(st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12))
@settings(deadline=15_000)
def test_a_name_that_is_none(study, name):
    assume(name not in DEFAULTS[study] and not iskeyword(name))
    kind = studies.settings_of(study, {})
    for call in (
        lambda: kind.of({**DEFAULTS[study], name: "1"}),
        lambda: kind.read({**DEFAULTS[study], name: 1, "In": [f"# Parameters\n{name} = 1\n"]}),
    ):
        with pytest.raises(ValueError, match=f"^{name}: .* has no such parameter"):
            call()
