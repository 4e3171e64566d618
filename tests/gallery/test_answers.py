import pytest

from xreid_plugin.gallery.answers import Hit, answer, strips
from xreid_plugin.gallery.manifest import Calibration
from xreid_plugin.gallery.records import Record

HITS = [Hit(rank, score, Record(f"person {rank}", "", 3)) for rank, score in enumerate([0.9, 0.5, 0.2], start=1)]
# The threshold itself matches.
HALF = Calibration(threshold=0.5, asked=1e-2, false_match_rate=8e-3, true_match_rate=0.25, different=1000, same=40)


def rows(text):
    """Cells of the lines of a table that begin with a rank."""
    return [line.split() for line in text.splitlines() if line[:1].isdecimal() and "of th" not in line]


def test_what_matches_is_listed_with_what_the_threshold_lets_through_and_misses():
    text = answer(HITS, HALF, everything=False, size=2000)
    assert [row[:2] for row in rows(text)] == [["1", "0.9000"], ["2", "0.5000"]]
    assert "2 of the 3 nearest reach the threshold 0.5000." in text
    # 0.008 of 2,000; all but a quarter.
    assert "for somebody who is not here, about 16 of these 2,000 tracklets." in text
    assert "misses 75.0% of the pairs of one person" in text


def test_with_everything_shown_each_says_whether_it_matches():
    text = answer(HITS, HALF, everything=True, size=50)
    assert [row[2] for row in rows(text)] == ["yes", "yes", "no"]
    assert "2 of these 3 reach the threshold 0.5000." in text
    assert "about 0.4 of these 50 tracklets." in text


@pytest.mark.parametrize(("kept", "doubtful"), [(0.25, True), (0.95, False), (None, False)])
def test_no_match_says_how_much_that_means(kept, doubtful):
    calibration = Calibration(0.95, 1e-2, 8e-3, kept, 1000, 40)
    text = answer(HITS, calibration, everything=False, size=50)
    assert text.startswith("No match: the best score is 0.9000. Nothing reaches the threshold 0.9500.")
    assert ("may be here all the same" in text) == doubtful


def test_more_is_offered_where_all_that_were_asked_for_match():
    assert "--top shows more" in answer(HITS[:2], HALF, everything=False, size=50)
    assert "--top" not in answer(HITS[:2], HALF, everything=False, size=2)


def test_without_a_threshold_nothing_is_said_to_match():
    text = answer(HITS, None, everything=False, size=50)
    assert len(rows(text)) == 3
    assert "No threshold" in text
    assert [strip.colour for strip in strips(Record("", "query"), HITS, None, False)] == ["black", *["grey"] * 3]


def test_the_picture_marks_what_does_not_match():
    shown = strips(Record("", "query"), HITS, HALF, True)
    assert [strip.colour for strip in shown] == ["black", "seagreen", "seagreen", "firebrick"]
    assert ["no match" in strip.caption for strip in shown] == [False, False, False, True]
    assert [strip.colour for strip in strips(Record("", "query"), HITS, HALF, False)] == ["black", *["seagreen"] * 2]
    strict = Calibration(0.95, 1e-2, 8e-3, 0.25, 1000, 40)
    (alone,) = strips(Record("", "query"), HITS, strict, False)
    assert alone.caption.startswith("query: no match (best score 0.9000)")
