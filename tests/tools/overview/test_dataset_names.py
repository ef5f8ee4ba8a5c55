"""Words in names of datasets."""

from h5lightning.tools.overview.dataset_names import is_label, words_of


def test_words():
    assert words_of("obs/Cell_type2/codes") == {"obs", "cell", "type", "codes"}
    assert words_of("") == frozenset()


def test_labels():
    assert is_label("train/Labels")
    assert is_label("y")
    assert not is_label("labelled")
    assert not is_label("yaw")
