"""The suite runs from data to tables, and its meters say what is so."""

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from clocks import Clock
from loading import meters, ours, peers
from loading.data import Workload, write
from loading.limits import evict, read_files
from loading.measure import read_bytes, run_epoch
from loading.program import PARTS, measure
from loading.races import OURS, Goal, Race, Result, against_best, candidate_of, run
from loading.report import Report
from loading.scale import Scale
from loading.scaling import Point
from loading.short import in_short, write_between_marks
from loading.task import Stored, Task
from loading.task_races import PLAIN

from h5lightning.tools.bench.timing import Timing, Trial

RUN = Path(__file__).with_name("run.py")
GZIP = Workload("gzip", rows=1280, row_bytes=1024, files=2, chunk_rows=32, filters="gzip+shuffle")


def test_a_race_has_all_candidates_and_goals(tmp_path, monkeypatch):
    # A look at the clock for each batch, and nothing else, takes time: an epoch of 40 batches about 0.04 s.
    monkeypatch.setattr("h5lightning.tools.bench.timing.time", Clock(look_s=0.001))
    dataset = write(GZIP, tmp_path / "data")
    race = Race("gzip", {"decode + gather": 0.5, "h5py kept open": None})
    result = run(race, dataset, rounds=2, limit_s=0.4)
    assert list(result.epochs) == [OURS, "decode + gather", "h5py kept open"]
    # Whole epochs, as many as take the time of a trial.
    assert all(trial.samples % 1280 == 0 for trials in result.epochs.values() for trial in trials)
    assert all(trial.total_s >= 0.2 for trials in result.epochs.values() for trial in trials)
    assert [goal.what for goal in result.goals] == ["gzip ÷ decode + gather"]


def test_ours_keeps_nothing_from_epoch_to_epoch_where_decoding_is_measured(tmp_path):
    dataset = write(GZIP, tmp_path / "data")
    stored = sum(map(meters._stored_bytes, dataset.paths))
    with ours.data_module(dataset) as dm:
        for forgets in (True, False):
            candidate = candidate_of(Race("gzip", {}, forgets=forgets), dataset, dm)
            for epoch in range(2):
                candidate.prepare()
                before = read_bytes()
                run_epoch(candidate.batches(epoch))
                assert (read_bytes() - before >= stored) == forgets


@pytest.mark.parametrize(
    ("at_least", "median", "is_reached"),
    [(True, 2, True), (True, 1, False), (False, 1, True), (False, 2, False)],
    ids=["above", "not-above", "below", "not-below"],
)
def test_goal(at_least, median, is_reached):
    assert Goal("x", 1.5, Timing(median, 0, 9), at_least).is_reached is is_reached


def test_the_best_rival_is_named():
    epochs = {name: [Trial(rate, rate, 0, 1)] for name, rate in ((OURS, 60), ("a", 10), ("b", 20))}
    goal = against_best(Result("race", epochs, [], GZIP), ["a", "b"], "the best peer", 5)
    assert (goal.what, goal.reached.median) == ("race ÷ the best peer: b", 3)


def test_evicted_files_are_read_again(tmp_path):
    dataset = write(GZIP, tmp_path / "data")
    evict(dataset)
    assert run_epoch(read_files(dataset)).samples == 1280


@pytest.mark.parametrize("world_size", [1, 2], ids=lambda size: f"{size}-ranks")
def test_each_chunk_is_read(tmp_path, world_size):
    decoded, read = meters.amplification(write(GZIP, tmp_path / "data"), world_size, 1.25)
    assert 0.99 <= decoded.reached.median <= world_size + 0.1
    assert 0.99 <= read.reached.median <= world_size + 0.5


def test_mixing_tells_sorted_batches_from_shuffled_ones(tmp_path):
    dataset = write(Workload("rows", rows=5120, row_bytes=8, files=2), tmp_path / "data")
    assert meters.mixing(dataset).reached.median == pytest.approx(1, abs=0.01)
    assert meters._entropy(np.zeros(256, np.int64)) == 0
    assert meters._entropy(np.arange(256) % 8) == pytest.approx(3)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_part_runs(monkeypatch):
    monkeypatch.setattr("loading.scaling.FACTORS", {"files": (20, 30), "row": (8, 4096), "batch": (8, 256)})
    report = measure(list(PARTS), Scale(part=1 / 512, rounds=1, limit_s=0.1, most_files=30))
    assert len(report.results) >= 29
    assert len(report.scaling) == 4
    text, plain = report.markdown(), json.loads(json.dumps(report.plain()))
    for result in report.results:
        assert f"### {result.name}\n" in text
        assert plain["races"][result.name][OURS]["samples_per_s"][0] > 0
    assert all(goal["what"] in text for goal in plain["goals"])


def run_with(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
    runpy.run_path(str(RUN), run_name="__main__")


@pytest.mark.timeout(60)
def test_command_line(tmp_path, monkeypatch, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("# x\n<!-- loading: begin -->\nold\n<!-- loading: end -->\n# y\n", encoding="utf-8")
    options = ["--part=0.002", "--rounds=1", f"--out={tmp_path}", f"--readme={readme}"]
    run_with(monkeypatch, "small_rows", "--quick", *options)
    assert capsys.readouterr().out == (tmp_path / "loading.md").read_text(encoding="utf-8")
    assert list(json.loads((tmp_path / "loading.json").read_text())["races"]) == ["contiguous 64-byte rows"]
    text = readme.read_text(encoding="utf-8")
    assert "| contiguous 64-byte rows | " in text
    assert "old" not in text
    assert (text.startswith("# x\n<!-- "), text.endswith(" -->\n# y\n")) == (True, True)


def test_unknown_part_is_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run_with(monkeypatch, "contigous")
    assert "['contigous']" in capsys.readouterr().err


def test_too_little_data_are_not_to_be_quoted(monkeypatch):
    result = Result("race", {OURS: [Trial(10, 10, 0, 1)]}, [], GZIP)
    monkeypatch.setattr("loading.report._cache_mib", lambda: 1)
    assert "1.25 times the processor's last cache: too little" in Report({}, results=[result]).markdown()
    monkeypatch.setattr("loading.report._cache_mib", lambda: 0.25)
    assert "5 times the processor's last cache.\n" in Report({}, results=[result]).markdown()


def test_in_short_wins_and_losses_are_told():
    trials = {
        name: [Trial(rate, rate, 0.1, 1, cpu_s=30)] for name, rate in ((OURS, 60), ("a", 10), ("b", 120))
    }
    missed = Goal("race ÷ b", 0.9, Timing(0.5, 0.5, 0.5))
    text = in_short(
        Report(
            {}, results=[Result("race", trials, [missed], GZIP)], goals=[Goal("mixing", 0.9, Timing(1, 1, 1))]
        )
    )
    assert "| race | 60 | 0.0619 | 500,000 | a 6 (6 – 6) · b 0.5 (0.5 – 0.5) |" in text
    assert "Other measures: mixing 1 (goal ≥ 0.9)." in text
    assert "Goals not reached: race ÷ b 0.5 (goal ≥ 0.9)." in text


def test_one_line_for_each_factor():
    def point(factor, value, rate):
        task = Task(f"scaling, {factor} {value}", Stored(20, 10))
        trials = {OURS: [Trial(rate, rate, 0, 1)], PLAIN: [Trial(10, 10, 0, 1)]}
        goals = [Goal(f"{task.name} ÷ {PLAIN}", 1.5, Timing(rate / 10, rate / 10, rate / 10))]
        return Point(factor, value, task), Result(task.name, trials, goals, task)

    scaled = [point("base", 0, 20), point("files", 400, 10), point("files", 100, 40), point("row", 8, 30)]
    report = Report({}, scaling=scaled)
    text = in_short(report)
    assert "| none | 2 (2 – 2) |" in text
    assert "| files | 100: 4 (4 – 4) · 400: 1 (1 – 1) |" in text
    assert "| bytes of a row | 8: 3 (3 – 3) |" in text
    assert "The median of all is 2.5 (goal ≥ 8)" in text
    assert "scaling, files 400 ÷ plain h5py 1 (goal ≥ 1.5)" in text.split("Goals not reached: ")[1]
    assert "| files: 400 | 256 | 10 | 10 |" in report.markdown()


def test_formats_are_beside_what_they_cost(tmp_path):
    copy = peers.Converted(peers.PEERS[0], tmp_path, seconds=12, stored_bytes=3 << 20)
    names = (OURS, "litdata, 0 workers", "litdata, 2 workers")
    trials = {name: [Trial(rate, rate, 0.1, 1)] for name, rate in zip(names, (60, 10, 20), strict=True)}
    report = Report(
        {}, results=[Result("race", trials, [], GZIP)], conversions=[copy], original_bytes=2 << 20
    )
    assert "| litdata | 10 | 20 | 3 (3 – 3) times as fast | 100 | 12 | 3 |" in in_short(report)
    assert "litdata" not in in_short(report).split("| format |")[0]


def test_a_file_without_marks_is_left_alone(tmp_path):
    (tmp_path / "a.md").write_text("text")
    with pytest.raises(ValueError, match="lacks the marks"):
        write_between_marks(tmp_path / "a.md", "x")


def pins(path):
    """Package → version."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = (
        re.match(r"([\w.-]+)==([\w.]+)", line) for line in lines if "< " not in line
    )  # not of Python 3.10
    return {match[1].lower().replace("_", "-"): match[2] for match in found if match}


def test_the_requirements_name_the_peers_and_fit_the_other_pins():
    found, tested = pins(RUN.with_name("requirements-peers.txt")), pins(RUN.parents[2] / "constraints.txt")
    assert {peer.package for peer in peers.PEERS} <= set(found)
    differing = {name for name in set(found) & set(tested) if found[name] != tested[name]}
    assert differing == {"python-dateutil"}


def test_report_names_what_was_left_out():
    assert "Left out: litdata (not installed)." in Report({}, left_out=["litdata (not installed)"]).markdown()


# What other projects leave open, or deprecate, is theirs.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.library)
def test_peer_delivers_every_sample(peer, tmp_path):
    pytest.importorskip(peer.library)
    dataset = write(Workload("rows", rows=1024, row_bytes=64, files=2), tmp_path / "data")
    copy = peers.convert(peer, dataset, tmp_path / "copy")
    batches = [(np.asarray(data).copy(), np.asarray(labels).copy()) for data, labels in copy.batches(1, 0)]
    data, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    assert np.array_equal(np.sort(labels), np.arange(1024))
    assert np.array_equal(data, dataset.in_memory()[0][labels])
    assert copy.stored_bytes > 1024 * 64
