"""The table of how often verdicts err is about the pages as they are published."""

from benchmarks import power


def test_each_page_has_its_rows_with_its_seeds_and_images():
    table = power.PAGE.read_text(encoding="utf-8").split("<!-- power -->")[1]
    rows = table.split("<!-- end of power -->")[0].strip().splitlines()[2:]
    heads = list(power.designs())
    assert {head for head in heads if any(row.startswith(head) for row in rows)} == set(heads)
    assert [row for row in rows if not row.startswith(tuple(heads))] == []
