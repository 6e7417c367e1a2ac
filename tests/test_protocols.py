import pandas as pd
import pytest

from advlib import protocols
from advlib.evaluation import CRAFTED_ON


def test_every_word_has_a_sentence_and_a_colour_of_its_own():
    words = [*protocols.PROTOCOLS.values(), *protocols.GRADIENTS.values()]
    assert all(word.says.endswith(".") for word in words)
    assert len(set(protocols.COLOURS.values())) == len(protocols.ORDER)
    assert set(CRAFTED_ON) <= set(protocols.PROTOCOLS)


@pytest.mark.parametrize(
    ("protocol", "gradient", "word"),
    [
        ("clean", "none", "clean"),
        ("static", "exact", "static"),
        ("static", "clipped", "static"),
        ("white-box", "exact", "white-box"),
        ("white-box", "float32", "float32"),
        ("white-box", "clipped", "clipped"),
        ("adaptive", "float32", "adaptive"),
        ("none", "none", "none"),
        ("paper", "none", "paper"),
    ],
)
def test_one_word_is_shown_for_protocol_and_gradient(protocol, gradient, word):
    assert protocols.shown(protocol, gradient) == word
    rows = pd.DataFrame({"protocol": [protocol], "gradient": [gradient]})
    assert protocols.with_shown(rows)["shown"].tolist() == [word]


def test_a_word_that_the_registry_lacks_is_named():
    with pytest.raises(ValueError, match=r"^protocol: .*did you mean 'white-box'"):
        protocols.shown("whitebox", "exact")
    with pytest.raises(ValueError, match=r"^gradient: .*did you mean 'clipped'"):
        protocols.shown("white-box", "cliped")
    with pytest.raises(ValueError, match=r"^column: .*, got 'gradient'"):
        protocols.with_shown(pd.DataFrame({"protocol": ["static"]}))


def test_every_protocol_and_gradient_has_its_place_in_tables_and_figures():
    shown = {protocols.shown("white-box", gradient) for gradient in protocols.GRADIENTS}
    assert set(protocols.ORDER) == {protocols.PAPER, *protocols.PROTOCOLS, *shown}
