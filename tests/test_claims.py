"""Rules on made-up outcomes where the right verdict is known."""

import numpy as np
import pandas as pd
import pytest
from made_up import measured, rows

from advlib import claims

PAPER = pd.DataFrame(
    {
        "table": ["8"], "defense": ["dominant"], "attack": ["fgsm"], "metric": ["accuracy"],
        "value": [0.975],
    }
)  # fmt: skip
DEFENDS = {"rows": {"defense": "dominant", "metric": "accuracy"}, "is": "at least"}


@pytest.fixture
def claim(monkeypatch):
    """One claim: the defense leaves at least 90 %."""
    made = {
        "id": "000-C1", "says": "It defends.", "where": "Table 8", "about": "robustness",
        "condition": [DEFENDS | {"number": 0.9}],
    }  # fmt: skip
    monkeypatch.setattr(claims, "claims", lambda study: {"protocol": "static", "claim": [made]})
    monkeypatch.setattr(claims, "paper_rows", lambda study: PAPER)
    return made


def judged(evidence, outcomes=None):
    (line,) = claims.verdicts("any", evidence, outcomes).to_dict("records")
    return line


def three(**protocols):
    """Rows of three seeds that agree, of 1,000 images each."""
    return rows(**{name: 3 * [value] for name, value in protocols.items()}).assign(n=1000)


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (three(static=0.99, white_box=0.99), "holds"),
        (three(static=0.99, white_box=0.1), "holds only under the paper's protocol"),
        (three(static=0.5, white_box=0.1), "does not hold"),
        (three(static=0.5, white_box=0.99), "does not hold"),
        (three(static=0.91, white_box=0.91), "undecided"),
        (three(static=0.99, white_box=0.91), "undecided"),
        (three(static=0.99), "undecided"),
        (three(white_box=0.99), "holds"),
        (three(white_box=0.1), "does not hold"),
        (three(static=0.99, white_box=0.1).assign(defense="other"), "not tested here"),
        (rows(static=[0.99], white_box=[0.99]), "undecided"),
    ],
)
def test_verdicts(claim, evidence, verdict):
    line = judged(evidence)
    assert line["verdict"] == verdict
    assert verdict in claims.VERDICTS
    assert (line["reason"] != "–") == (verdict in ("undecided", "not tested here"))


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (three(static=0.99), "no attack on the defended network"),
        (three(static=0.91, white_box=0.91), "other seeds or images could turn it"),
        (rows(static=[0.99], white_box=[0.99]), "one seed; 3 are needed"),
        (rows(static=[0.99, 0.99], white_box=[0.1, 0.1]), "two seeds; 3 are needed"),
        (three(static=0.99).assign(defense="other"), "this run measured nothing that decides it"),
    ],
)
def test_what_is_open_has_its_reason(claim, evidence, reason):
    assert reason in judged(evidence)["reason"]


def test_what_is_not_about_robustness_needs_no_attack(claim):
    claim["about"] = "accuracy"
    assert judged(three(clean=0.99))["verdict"] == "holds"
    assert judged(three(clean=0.5))["verdict"] == "does not hold"


def test_what_nothing_was_drawn_for_needs_no_seeds(claim):
    claim["about"] = "network"
    counted = rows(none=[0.95]).assign(seed=np.nan, n=np.nan)
    assert judged(counted)["verdict"] == "holds"


def than(margin, sign="at least"):
    return [DEFENDS | {"is": sign, "than": {"defense": "none"}, "margin": margin}]


def two(defended, undefended):
    """Rows of a defended and an undefended network, white-box."""
    other = three(white_box=undefended).assign(defense="none")
    return pd.concat([three(white_box=defended), other], ignore_index=True)


@pytest.mark.parametrize(
    ("condition", "evidence", "verdict", "reason"),
    [
        (than(0.1), two(0.95, 0.95), "undecided", "ceiling: more than 100 %"),
        (than(-0.1, "at most"), two(0.05, 0.05), "undecided", "floor: less than 0 %"),
        (than(0.01, "at most"), two(0.0, 0.0), "undecided", "floor: both"),
        (than(-0.02), two(0.0, 0.0), "undecided", "floor: both"),
        (than(-0.02), two(1.0, 1.0), "undecided", "ceiling: both"),
        (than(0.1), two(0.0, 0.0), "does not hold", "–"),
        (than(0.1), two(0.5, 0.2), "holds", "–"),
        (than(0.1), two(0.25, 0.2), "does not hold", "–"),
        (than(-0.1), two(0.5, 0.5), "holds", "–"),
    ],
)
def test_a_rule_that_could_not_come_out_otherwise_decides_nothing(
    claim, condition, evidence, verdict, reason
):
    claim["condition"] = condition
    line = judged(evidence)
    assert line["verdict"] == verdict
    assert reason in line["reason"]


def test_a_reference_has_to_have_learned(claim):
    defended, undefended = ({"defense": name, "attack": "pgd"} for name in ("dominant", "none"))
    claim["condition"] = [{"rows": defended, "than": undefended, "is": "at least", "margin": 0.1}]
    claim["learned"] = [{"rows": {"defense": "none", "attack": "none"}, "number": 0.5}]
    evidence = two(0.5, 0.0).assign(attack="pgd")
    for clean, verdict in ((0.1, "undecided"), (0.9, "holds")):
        learned = three(clean=clean).assign(defense="none", attack="none")
        line = judged(pd.concat([evidence, learned], ignore_index=True))
        assert line["verdict"] == verdict
        assert ("did not learn: it is at 10.0%" in line["reason"]) == (verdict == "undecided")


def test_each_network_is_judged_by_itself(claim):
    claim["each"] = "model"
    good, bad = three(static=0.99, white_box=0.99), three(static=0.5, white_box=0.1)
    line = judged(pd.concat([good.assign(model="resnet18"), bad.assign(model="resnet50")]))
    assert line["verdict"] == "does not hold"
    assert line["reason"] == "resnet18: holds; resnet50: does not hold"
    assert judged(good.assign(model="resnet18"))["verdict"] == "holds"


def test_a_reference_may_be_of_another_network(claim):
    """One network was trained as a reference: where it learned nothing, none is judged."""
    claim["each"] = "model"
    claim["learned"] = [{"rows": {"table": "references"}, "number": 0.5}]
    both = [
        three(static=0.5, white_box=0.1).assign(model=name) for name in ("resnet18", "resnet50")
    ]
    for kept, verdict in ((0.1, "undecided"), (0.9, "does not hold")):
        reference = three(clean=kept).assign(table="references", model="resnet18")
        line = judged(pd.concat([*both, reference], ignore_index=True))
        assert line["verdict"] == verdict


def test_a_fitted_figure_bears_nothing_out(claim):
    claim["fitted"] = "its rate was chosen so that this figure comes out"
    assert judged(three(static=0.99, white_box=0.99))["verdict"] == "undecided"
    assert "its rate was chosen" in judged(three(static=0.99, white_box=0.99))["reason"]
    assert judged(three(static=0.1, white_box=0.1))["verdict"] == "does not hold"


def test_why_a_claim_is_not_tested_is_said(claim):
    del claim["condition"]
    claim["not_tested"] = "its table is lost"
    line = judged(three(static=0.99))
    assert (line["verdict"], line["reason"]) == ("not tested here", "its table is lost")


def test_the_same_images_are_their_own_control(claim):
    """Newcombe's interval of two means misses what McNemar's sees: 20 images lost, none won."""
    claim["condition"] = than(0.01)
    right = np.arange(1000) < 520
    lost = right & (np.arange(1000) >= 40)
    evidence, outcomes = measured(dominant=3 * [right], none=3 * [lost])
    assert judged(evidence, outcomes)["verdict"] == "holds"
    assert judged(evidence)["verdict"] == "undecided"
    assert judged(evidence.assign(split=["a", "b"] * 3), outcomes)["verdict"] == "undecided"
    # Nor are seeds and images crossed where each seed draws images of its own.
    assert judged(evidence.assign(split=["a", "b", "c"] * 2), outcomes)["verdict"] == "undecided"


def test_a_condition_may_be_of_one_protocol(claim):
    claim["condition"].append(
        {"protocol": "white-box", "rows": {"defense": "dominant", "attack": "pgd"}}
        | {"is": "at least", "number": 0.9}
    )
    stronger = three(white_box=0.1).assign(attack="pgd")
    line = judged(pd.concat([three(static=0.99, white_box=0.99), stronger]))
    assert line["verdict"] == "holds only under the paper's protocol"
    assert (line["static"].count("must"), line["white-box"].count("must")) == (1, 2)


def test_a_mean_over_no_images_is_no_figure(claim):
    none = rows(static=[float("nan")], white_box=[float("nan")]).assign(n=0)
    assert judged(none)["verdict"] == "not tested here"
    some = judged(pd.concat([none, three(static=0.5, white_box=0.1)]))
    assert some["verdict"] == "does not hold"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rows": {"defence": "dominant"}}, "^column: .*did you mean 'defense'"),
        ({"rows": {"defense": "dominnat"}}, "^defense: .*did you mean 'dominant'"),
        ({"rows": {"attack": "gpd"}}, "^attack: .*'gpd'"),
        ({"rows": {"table": 3}}, "^table: .*got 3"),
        ({"rows": {"eps": 0.03}}, "^eps: .*got 0.03"),
        ({"is": "at lest"}, "^is: .*did you mean 'at least'"),
        ({"margn": 0.1}, "^condition: .*did you mean 'margin'"),
        ({"than": {"attack": "pgd"}}, "^condition: must have either number or than"),
        ({"protocol": "whitebox"}, "^protocol: .*did you mean 'white-box'"),
    ],
)
def test_a_misspelt_word_in_a_condition_is_named(claim, change, says):
    claim["condition"][0].update(change)
    with pytest.raises(ValueError, match=says):
        claims.verdicts("any", rows(static=[0.9]).assign(attack="pgd", table="3", eps=0.3))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fited": "x"}, "^claim: .*did you mean 'fitted'"),
        ({"about": "robustnes"}, "^about: .*did you mean 'robustness'"),
        ({"not_tested": "x"}, "^claim: 000-C1 must have either condition or not_tested"),
        ({"learned": [{"rows": {"defence": "x"}}]}, "^column: .*did you mean 'defense'"),
        ({"learned": [{"rows": {"defense": "dominnat"}}]}, "^defense: .*did you mean 'dominant'"),
    ],
)
def test_a_misspelt_word_in_a_claim_is_named(claim, change, says):
    claim.update(change)
    with pytest.raises(ValueError, match=says):
        claims.verdicts("any", rows(static=[0.9]))


def test_a_misspelt_word_is_named_where_the_other_side_spells_it_right(claim):
    than = {"defense": "dominant"}
    claim["condition"] = [{"rows": {"defense": "dominnat"}, "than": than, "is": "at least"}]
    with pytest.raises(ValueError, match="did you mean 'dominant'"):
        claims.verdicts("any", rows(static=[0.9]))


FACT = """
[[fact]]
says = "the order is so"
[[fact.condition]]
rows = {{ defense = "dominant", shown = "{better}" }}
than = {{ defense = "dominant", shown = "static" }}
is = "at most"
margin = -0.25
"""


@pytest.mark.parametrize(
    ("better", "told"), [("white-box", "yes"), ("static", "no"), ("x", "open")]
)
def test_facts_tell_what_is_so(monkeypatch, better, told):
    monkeypatch.setattr(
        claims, "paper_files", lambda study: {"facts.toml": FACT.format(better=better)}
    )
    measured = rows(static=[0.9], white_box=[0.1])
    first, line = claims.facts("any", measured).splitlines()
    assert line == f"{told:<4} the order is so"
    assert first.startswith("2 rows, about ")


def test_the_first_line_of_the_facts_knows_the_rows_names_and_not_their_values(monkeypatch):
    monkeypatch.setattr(claims, "paper_files", lambda study: {"facts.toml": "fact = []"})
    told = claims.facts("any", rows(static=[0.9], white_box=[0.1]))
    assert claims.facts("any", rows(white_box=[0.2], static=[0.3])) == told
    assert claims.facts("any", rows(static=[0.9], adaptive=[0.1])) != told


def test_what_the_paper_reports_is_a_mean_for_each_condition(claim):
    claim["condition"][0]["rows"] = {"table": "protocols", "defense": "dominant", "attack": "fgsm"}
    assert claims.reported("any") == {"000-C1": [pytest.approx(0.975)]}
    claim["condition"].append({"rows": {"attack": "pgd"}, "is": "at least", "number": 0.1})
    assert claims.reported("any") == {"000-C1": []}  # it prints nothing of the second
    claim["reported"] = [{"defense": "dominant"}]
    assert claims.reported("any") == {"000-C1": [pytest.approx(0.975)]}
    claim["id"] = "000-K1"  # a control of ours is no claim of the paper's
    assert claims.reported("any") == {"000-K1": []}
    claim["reported"] = [{"defense": "dominate"}]
    with pytest.raises(ValueError, match=r"^reported: 000-K1 names rows that the paper's"):
        claims.reported("any")
