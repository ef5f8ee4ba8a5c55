"""The table at the end of a run."""

import io

import pytest

from h5lightning.app.results import Results, print_results
from h5lightning.core.terminal import Terminal


def printed(results, width=80):
    stream = io.StringIO()
    print_results(results, Terminal(file=stream, width=width))
    return stream.getvalue()


def test_metrics_speed_and_waiting_are_shown():
    text = printed(Results({"test_mse": 0.00123456}, samples_per_second=12345.6, waiting_share=0.0567))
    assert "test mse" in text
    assert "0.001235" in text
    assert "12,346 samples/s" in text
    assert "5.7% of the time" in text


def test_an_error_is_held_against_that_of_nothing_changes():
    text = printed(Results({"test_mse": 0.002, "test_mse_persistence": 0.008}, 1.0, 0.0))
    assert "test mse if nothing changed" in text
    assert "0.25" in text


def test_nothing_is_said_of_a_training_that_did_not_happen():
    assert "samples/s" not in printed(Results({}, samples_per_second=0.0, waiting_share=0.0))


@pytest.mark.parametrize("width", [20, 80], ids=["narrow", "wide"])
def test_a_path_stays_on_one_line(width):
    path = "/a/rather/long/directory/name/[with brackets]/checkpoints/epoch004.ckpt"
    assert f"checkpoint: {path}\n" in printed(Results({}, 1.0, 0.0, {"checkpoint": path}), width)
