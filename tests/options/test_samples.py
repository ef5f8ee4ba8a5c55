"""How samples lie in a series."""

from h5lightning.options import Windows


def test_span_counts_the_rows_between():
    assert [Windows(1).span_rows, Windows(4).span_rows, Windows(4, stride=9, dilation=3).span_rows] == [
        1,
        4,
        10,
    ]
