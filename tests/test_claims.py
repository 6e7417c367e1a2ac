import pandas as pd
import pytest
from made_up import rows

from advlib import claims
from advlib.papers import paper_rows

PAPER = pd.DataFrame({"defense": ["dominant"], "metric": ["accuracy"]})


@pytest.fixture
def claim(monkeypatch):
    condition = {
        "rows": {"defense": "dominant", "metric": "accuracy"}, "is": "at least", "number": 0.9
    }  # fmt: skip
    known = {
        "protocol": "static",
        "claim": [{"says": "It defends.", "where": "Table 8", "condition": [condition]}],
    }
    monkeypatch.setattr(claims, "claims", lambda study: known)
    monkeypatch.setattr(claims, "paper_rows", lambda study: PAPER)
    return known


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (rows(static=[0.99], white_box=[0.99]), "holds"),
        (rows(static=[0.99], white_box=[0.95]), "holds, within the noise"),
        (
            rows(static=[0.99], white_box=[0.85]),
            "holds only under the paper's protocol, within the noise",
        ),
        (rows(static=[0.85], white_box=[0.1]), "does not hold, within the noise"),
        (rows(static=[0.99], white_box=[0.1]), "holds only under the paper's protocol"),
        (rows(static=[0.5], white_box=[0.1]), "does not hold"),
        (rows(static=[0.99], white_box=[0.1]).assign(defense="other"), "not tested here"),
        (rows(white_box=[0.99]), "holds"),
        (rows(white_box=[0.1]), "does not hold"),
    ],
)
def test_verdicts(claim, measured, verdict):
    assert claims.verdicts("any", measured)["verdict"].tolist() == [verdict]
    assert verdict.removesuffix(claims.NOISE) in claims.VERDICTS


def test_autoattack_counts_as_white_box(claim):
    measured = rows(white_box=[0.99]).assign(attack="AutoAttack")
    assert claims.verdicts("any", measured)["verdict"].tolist() == ["holds"]


def test_a_condition_may_be_of_one_protocol(claim):
    (condition,) = claim["claim"][0]["condition"]
    claim["claim"][0]["condition"].append(
        condition | {"protocol": "white-box", "rows": {"defense": "dominant", "attack": "pgd"}}
    )
    fgsm = rows(static=[0.99], white_box=[0.99])
    stronger = rows(white_box=[0.1]).assign(attack="pgd")
    (told,) = claims.verdicts("any", pd.concat([fgsm, stronger])).to_dict("records")
    assert told["verdict"] == "holds only under the paper's protocol"
    assert (told["static"].count("must"), told["white-box"].count("must")) == (1, 2)


def test_what_static_images_alone_bear_out_is_no_claim_of_a_white_box_paper(claim):
    claim["protocol"] = "white-box"
    measured = rows(static=[0.99], white_box=[0.1])
    assert claims.verdicts("any", measured)["verdict"].tolist() == ["does not hold"]
    measured = rows(static=[0.99])
    assert claims.verdicts("any", measured)["verdict"].tolist() == ["not tested here"]


def test_a_paper_may_have_a_protocol_of_its_own(claim):
    claim["protocol"] = "float32"
    measured = pd.concat(
        [
            rows(static=[0.2]),
            rows(white_box=[0.99]).assign(gradient="float32"),
            rows(white_box=[0.1]),
        ]
    )
    (told,) = claims.verdicts("any", measured).to_dict("records")
    assert told["verdict"] == "holds only under the paper's protocol"
    assert [told[p][:4] for p in ("static", "float32", "white-box")] == ["20.0", "99.0", "10.0"]


def test_a_condition_can_compare_rows(claim):
    (condition,) = claim["claim"][0]["condition"]
    condition |= {"than": {"defense": "whole"}, "margin": -0.02}
    del condition["number"]
    measured = rows(static=[0.95], white_box=[0.95]).assign(n=10_000)
    whole = measured.assign(defense="whole", value=0.96)
    verdict = claims.verdicts("any", pd.concat([measured, whole]))
    assert verdict["verdict"].tolist() == ["holds"]
    better = claims.verdicts("any", pd.concat([measured, whole.assign(value=0.99)]))
    assert better["verdict"].tolist() == ["does not hold"]
    few = claims.verdicts("any", pd.concat([measured, whole]).assign(n=100))
    assert few["verdict"].tolist() == ["holds, within the noise"]


@pytest.mark.parametrize(
    ("study", "untold"),
    [
        (
            "patch_augmentation",
            ["It is the altered", "Fine-tuning with", "More", "Fine-tuning defends"],
        ),
        ("dominant_filters", ["The same few", "The dominant filters are", "A network fine-tuned"]),
        ("aft_fgsm_vs_jsma", ["The same, if", "It is the perturb", "What is", "What is"]),
    ],
)
def test_the_papers_own_rows_decide_the_claims_that_they_are_about(study, untold):
    paper = paper_rows(study).assign(seed=0)
    paper["defense"] = paper["defense"].replace(r"^(\d+-)?P\d+$", "proposed", regex=True)
    decided = claims.verdicts(study, paper).set_index("claim")["verdict"]
    silent = [c for c in decided.index if decided[c] == "not tested here"]
    assert len(silent) == len(untold)
    assert all(c.startswith(u) for c, u in zip(silent, untold, strict=True))
    borne_out = decided.drop(silent)
    # The paper's text contradicts its own tables in one figure.
    contradicted = [c for c in borne_out.index if borne_out[c] != "holds"]
    assert [c[:12] for c in contradicted] == ["Against JSMA"] * (study == "aft_fgsm_vs_jsma")


def test_rows_of_the_same_images_are_not_added_up(claim):
    """The same 1,000 images under two attacks are 1,000; the first 50 of them count twice."""

    def told(*counts):
        pooled = pd.concat([rows(white_box=[0.93]).assign(n=n) for n in counts])
        return claims.verdicts("any", pooled)["white-box"].item()

    assert told(1000, 1000) == told(1000)
    assert told(50, 200, 1000) == told(225)


def test_a_mean_over_no_images_is_no_figure(claim):
    none = rows(static=[float("nan")], white_box=[float("nan")]).assign(n=0)
    assert claims.verdicts("any", none)["verdict"].tolist() == ["not tested here"]
    some = pd.concat([none, rows(static=[0.5], white_box=[0.1])])
    assert claims.verdicts("any", some)["verdict"].tolist() == ["does not hold"]


def test_many_images_of_one_network_are_lent_to_no_other_figure(claim):
    few = rows(white_box=[0.93, 0.93]).assign(n=100)
    many = rows(white_box=[0.93]).assign(n=10_000, seed=float("nan"))
    told = [claims.verdicts("any", r)["white-box"].item() for r in (pd.concat([few, many]), few)]
    assert told[0] == told[1]


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
def test_a_misspelt_word_in_a_claim_is_named(claim, change, says):
    claim["claim"][0]["condition"][0].update(change)
    with pytest.raises(ValueError, match=says):
        claims.verdicts("any", rows(static=[0.9]).assign(attack="pgd", table="3", eps=0.3))


def test_a_word_that_a_run_need_not_measure_is_declared(claim):
    claim["claim"][0]["condition"][0]["rows"] = {"defense": "proposed"}
    claim["words"] = {"defense": ["proposed"]}
    assert claims.verdicts("any", rows(static=[0.9]))["verdict"].tolist() == ["not tested here"]


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
