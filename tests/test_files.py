import pytest

from advlib import files


def test_nothing_half_written_gets_the_name(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")

    def fail(part):
        part.write_text("ha")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        files.write_whole(target, fail)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_fill_replaces_what_stands_between_two_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x -->\nold\n<!-- end of x -->\nb\n")
    files.fill(page, "x", "new\n")
    assert page.read_text() == "a\n<!-- x -->\nnew\n<!-- end of x -->\nb\n"
    files.fill(page, "y", "nothing to fill")
    assert "nothing" not in page.read_text()
