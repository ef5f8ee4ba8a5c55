"""What divides the rows of datasets, in layouts of many fields of science and in lookalikes."""

import h5py
import numpy as np
import pytest

from h5lightning.planning.catalog.annotations import NOTHING, SeriesTable
from h5lightning.planning.conventions.series_borders import series_option
from h5lightning.storage.scanning import ScanRequest, scan_file
from h5lightning.storage.scanning.series import candidates as series_candidates
from h5lightning.storage.scanning.series.name_list import NameList

ROWS = 12
X = np.zeros((ROWS, 2), "f4")
LAST = np.isin(np.arange(ROWS), (3, 7, 11))
FIRST = np.isin(np.arange(ROWS), (0, 4, 8))
ENDS, STARTS, LENGTHS = np.array([4, 8, 12]), np.array([0, 4, 8]), np.array([4, 4, 4])
OFFSETS = np.array([0, 4, 8, 12])
RUNS = np.repeat([0, 1, 2], 4)
RANGES = np.stack([STARTS, ENDS], 1)


def said_of(path, datasets, tmp_path, **options):
    """The annotations of one dataset of a file of these."""
    name = tmp_path / "a.h5"
    with h5py.File(name, "w") as file:
        for key, values in datasets.items():
            file.create_dataset(key, data=values, **(options if key != path else {}))
    return annotations(name, path)


def annotations(name, path, paths=None):
    schema = scan_file(str(name), ScanRequest(paths or (path,))).dataset(path)
    return schema.annotations


def table(**columns):
    dtype = [(name, np.asarray(values).dtype) for name, values in columns.items()]
    found = np.empty(len(next(iter(columns.values()))), dtype)
    for name, values in columns.items():
        found[name] = values
    return found


DIVIDED = {
    "diffusion policy": ("data/action", {"data/action": X, "meta/episode_ends": ENDS}, "ends"),
    "stable-worldmodel": ("pixels", {"pixels": X, "ep_len": LENGTHS, "ep_offset": STARTS}, "starts and lengths"),
    "lengths alone": ("x", {"x": X, "ep_len": LENGTHS.astype("u1")}, "lengths"),
    "starts alone": ("x", {"x": X, "ep_offset": STARTS.astype(">i4")}, "starts"),
    "one column of lengths": ("x", {"x": X, "traj_lengths": LENGTHS[:, None]}, "lengths"),
    "an episode without frames": ("x", {"x": X, "episode_lengths": [4, 0, 8]}, "lengths"),
    "CSR": ("x/data", {"x/data": X, "x/indptr": OFFSETS}, "offsets"),
    "CSR with empty rows": ("x/data", {"x/data": X, "x/indptr": [0, 0, 5, 5, 12]}, "offsets"),
    "cooler pixels": ("pixels/count", {"pixels/count": X, "indexes/bin1_offset": OFFSETS}, "offsets"),
    "cooler bins": ("bins/start", {"bins/start": np.zeros(12), "indexes/chrom_offset": OFFSETS}, "offsets"),
    "vector index": ("units/times", {"units/times": X, "units/times_index": [4, 4, 12]}, "ends"),
    "vector index of a group": ("spikes/t", {"spikes/t": X, "spikes_index": ENDS}, "ends"),
    "episode index as ends": ("x", {"x": X, "episode_index": ENDS}, "ends"),
    "XFEL": (
        "INSTRUMENT/det/data",
        {"INSTRUMENT/det/data": X, "INDEX/det/first": [0, 0, 7], "INDEX/det/count": [7, 0, 5]},
        "starts and lengths",
    ),
    "old XFEL": (
        "INSTRUMENT/det/data",
        {
            "INSTRUMENT/det/data": X,
            "INDEX/det/first": [0, 0, 7],
            "INDEX/det/last": [6, 0, 11],
            "INDEX/det/status": [1, 0, 1],
        },
        "starts and ends",
    ),
    "LeRobot": (
        "action",
        {"action": X, "episode_data_index/from": STARTS, "episode_data_index/to": ENDS},
        "starts and ends",
    ),
    "IceCube": (
        "pulses",
        {"pulses": table(t=np.zeros(12)), "__I3Index__/pulses": table(start=STARTS, stop=ENDS, exists=[1, 1, 1])},
        "starts and ends",
    ),
    "SLEAP": (
        "instances",
        {"instances": table(s=np.zeros(12)), "frames": table(instance_id_start=STARTS, instance_id_end=ENDS)},
        "starts and ends",
    ),
    "pairs of bounds": ("x", {"x": X, "episode_bounds": RANGES}, "starts and ends"),
    "pairs of first and last rows": ("x", {"x": X, "episodes": RANGES - [0, 1]}, "starts and ends"),
    "last rows": ("x", {"x": X, "episode_ends": ENDS - 1}, "ends"),
    "packed sequences": ("tokens", {"tokens": np.arange(12), "cu_seqlens": OFFSETS}, "offsets"),
    "ragged tensors": ("values", {"values": X, "row_splits": OFFSETS}, "offsets"),
    "awkward": ("node2-data", {"node2-data": X, "node1-offsets": OFFSETS}, "offsets"),
    "graphs": ("pos", {"pos": X, "ptr": OFFSETS}, "offsets"),
    "molecules": ("xyz", {"xyz": X, "num_atoms": [5, 4, 3]}, "lengths"),
    "videos": ("frames", {"frames": X, "num_frames_per_video": LENGTHS}, "lengths"),
    "camel case": ("x", {"x": X, "meta/episodeEnds": ENDS}, "ends"),
    "D4RL terminals": ("observations", {"observations": X, "terminals": LAST}, "flags"),
    "float flags": ("x", {"x": X, "dones": LAST.astype("f4")}, "flags"),
    "flags in a column of their own": ("x", {"x": X, "timeouts": LAST[:, None].astype("u1")}, "flags"),
    "RLDS": ("steps/action", {"steps/action": X, "steps/is_last": LAST}, "flags"),
    "first flags": ("x", {"x": X, "is_first": FIRST}, "flags"),
    "TorchRL": ("action", {"action": X, "next/done": LAST}, "flags"),
    "inverse flags": ("x", {"x": X, "not_done": (~LAST).astype("f4")}, "flags"),
    "every row an end": ("x", {"x": X, "terminated": np.ones(12, bool)}, "flags"),
    "the flags themselves": ("dones", {"dones": LAST}, "flags"),
    "a column of flags": ("t", {"t": table(x=np.zeros(12), done=LAST)}, "flags"),
    "runs": ("x", {"x": X, "episode_id": RUNS}, "runs"),
    "runs in another order": ("x", {"x": X, "traj_ids": RUNS[::-1]}, "runs"),
    "a column of runs": ("t", {"t": table(x=np.zeros(12), episode=RUNS)}, "runs"),
    "two splits": ("train/x", {"train/x": X, "train/ep_len": LENGTHS, "val/ep_len": [6, 6]}, "lengths"),
}  # fmt: skip

ALIKE = {
    "no table": {"x": X},
    "lengths that cover less": {"x": X, "ep_len": [4, 4, 3]},
    "lengths that cover more": {"x": X, "ep_len": [4, 4, 5]},
    "lengths of single rows": {"x": X, "ep_len": np.ones(12, int)},
    "one length": {"x": X, "ep_len": [12]},
    "one series with rows": {"x": X, "ep_len": [12, 0, 0]},
    "a scalar length": {"x": X, "ep_len": 12},
    "negative lengths": {"x": X, "ep_len": [16, -4]},
    "lengths that are floats": {"x": X, "ep_len": [4.0, 4.0, 4.0]},
    "ends of other rows": {"x": X, "episode_ends": [4, 8, 13]},
    "ends that descend": {"x": X, "episode_ends": [8, 4, 12]},
    "offsets of one series": {"x": X, "indptr": [0, 12]},
    "offsets of each row": {"x": X, "indptr": np.arange(13)},
    "offsets that start late": {"x": X, "indptr": [1, 4, 12]},
    "frame numbers": {"x": X, "frame_index": np.arange(12)},
    "frame numbers from one": {"x": X, "frame_index": np.arange(1, 13)},
    "rows numbered as episodes": {"x": X, "episode_id": np.arange(12)},
    "one episode": {"x": X, "episode_id": np.zeros(12, int)},
    "episode numbers that come again": {"x": X, "episode_id": [0, 0, 1, 1] * 3},
    "numbers of trials in one recording": {"x": X, "trial_id": RUNS, "seq_id": RUNS},
    "sorted labels": {"x": X, "label": RUNS},
    "sorted zero labels": {"x": X, "labels": np.zeros(12, int), "y": RUNS},
    "batches of cells": {"x": X, "batch": RUNS},
    "counts of classes": {"x": X, "counts": LENGTHS, "class_counts": [6, 6]},
    "a selection from one": {"x": X, "train_index": [1, 5, 12]},
    "an index of others": {"x": X, "times": np.zeros(5), "times_index": [4, 12]},
    "an empty last mask": {"x": X, "is_last": np.zeros(12, bool)},
    "one end, the last row": {"x": X, "dones": np.arange(12) == 11, "timeouts": np.zeros(12)},
    "one beginning, the first row": {"x": X, "is_first": np.arange(12) == 0},
    "inverse flags of one series": {"x": X, "not_done": np.arange(12) < 11},
    "flags of other rows": {"x": X, "dones": LAST[:11]},
    "flags that are counts": {"x": X, "terminals": np.arange(12)},
    "flags that are shares": {"x": X, "done": np.linspace(0, 1, 12)},
    "flags of agents": {"x": X, "dones": np.ones((12, 3), bool)},
    "positions of channels": {"x": X, "offset": [0, 1, 2]},
    "beginnings alone": {"x": X, "first": STARTS, "start": STARTS},
    "first and count with a gap": {"x": X, "first": STARTS, "count": [4, 3, 4]},
    "event numbers of a millisecond": {"x": X, "ms_to_idx": OFFSETS},
    "edges of a histogram": {"x": X, "bins": OFFSETS, "edges": OFFSETS},
    "a box": {"x": X, "box_size": LENGTHS, "box_length": LENGTHS, "focal_length": LENGTHS},
    "shares of a split": {"x": X, "split_sizes": [10, 1, 1]},
    "times of trials": {"x": X, "trials/start_time": [0.0, 4.0, 8.0], "trials/stop_time": [4.0, 8.0, 12.0]},
    "text": {"x": X, "episode_ends": [b"4", b"8", b"12"]},
    "a group of that name": {"x": X, "dones/a": LAST, "episode_ends/z": ENDS},
    "another demonstration": {"x/demo_1/a": X, "x/demo_0/dones": LAST},
    "demonstrations": {"x/demo_1/a": X, "x/demo_0/dones": LAST, "x/demo_1/dones": np.zeros(12)},
    "another split": {"train/x": X, "train/y": RUNS, "val/ep_len": LENGTHS, "train/ep_len": [6, 5]},
    "a table without borders": {"x": X, "episodes": table(id=[1, 2, 3], score=[4, 4, 4])},
    "few rows": {"x": X[:2], "ep_len": [1, 1]},
    "no rows": {"x": X[:0], "ep_len": [0, 0]},
}


@pytest.mark.parametrize("layout", DIVIDED)
def test_what_divides_rows_is_found(layout, tmp_path):
    path, datasets, kind = DIVIDED[layout]
    assert [one.kind for one in said_of(path, datasets, tmp_path).series] == [kind]


@pytest.mark.parametrize("layout", DIVIDED)
def test_what_divides_rows_is_an_option_that_divides_them(layout, tmp_path):
    path, datasets, kind = DIVIDED[layout]
    (found,) = said_of(path, datasets, tmp_path).series
    option = series_option(found)
    assert (option is None) == (not found.is_plain)
    if option is None:
        return
    request = ScanRequest(paths=(path,), series=option.tables)
    schema = scan_file(str(tmp_path / "a.h5"), request)
    assert list(schema.bounds.problems) == [""], kind
    assert schema.bounds.totals.tolist() == [schema.dataset(path).rows]
    assert len(schema.bounds.rows) > 1


@pytest.mark.parametrize("layout", ALIKE)
def test_lookalikes_are_no_series_tables(layout, tmp_path):
    datasets = ALIKE[layout]
    assert said_of(next(iter(datasets)), datasets, tmp_path) is NOTHING


def test_an_attribute_is_no_table(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = X
        file["x"].attrs["offset"] = OFFSETS
        file.attrs["ep_len"] = LENGTHS
    assert annotations(tmp_path / "a.h5", "x") is NOTHING


def test_tables_are_named(tmp_path):
    datasets = {"x": X, "terminals": LAST, "timeouts": LAST, "meta/ep_len": LENGTHS, "meta/ep_offset": STARTS}
    assert said_of("x", datasets, tmp_path).series == (
        SeriesTable(("meta/ep_offset", "meta/ep_len"), "starts and lengths"),
        SeriesTable(("terminals", "timeouts"), "flags"),
    )


def test_columns_of_tables_are_named(tmp_path):
    datasets = {"x": X, "__I3Index__/x": table(start=STARTS, stop=ENDS)}
    assert said_of("x", datasets, tmp_path).series == (
        SeriesTable(("__I3Index__/x[start]", "__I3Index__/x[stop]"), "starts and ends"),
    )


@pytest.mark.parametrize(
    "options", [{"compression": "gzip"}, {"chunks": (2,)}, {"chunks": (5,), "shuffle": True}]
)
def test_tables_may_be_chunked(options, tmp_path):
    assert said_of("x", {"x": X, "terminals": LAST}, tmp_path, **options).series[0].kind == "flags"


def test_flags_belong_to_datasets_of_their_group(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number, flags in enumerate([LAST, np.zeros(12, bool)]):
            file[f"data/demo_{number}/actions"] = X
            file[f"data/demo_{number}/obs/image"] = X
            file[f"data/demo_{number}/dones"] = flags
        file["other"] = X[:5]
    found = {
        one.path: bool(one.annotations.series)
        for one in scan_file(str(tmp_path / "a.h5"), ScanRequest(None)).datasets
    }
    assert found == {
        "data/demo_0/actions": True,
        "data/demo_0/dones": True,
        "data/demo_0/obs/image": True,
        "data/demo_1/actions": False,
        "data/demo_1/dones": False,
        "data/demo_1/obs/image": False,
        "other": False,
    }


def test_flags_are_read_up_to_the_first_border(tmp_path, monkeypatch):
    read = []
    real = series_candidates.blocks_of

    def blocks_of(opened):
        for start, block in real(opened):
            read.append(start)
            yield start, block

    monkeypatch.setattr(series_candidates, "blocks_of", blocks_of)
    flags = np.zeros(3_000_000, "u1")
    flags[5] = 1
    said = said_of("x", {"x": np.zeros(len(flags), "u1"), "dones": flags}, tmp_path)
    assert (said.series[0].kind, read) == ("flags", [0])


def test_large_tables_are_not_read_and_that_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(series_candidates, "MOST_BYTES", 50)
    found = said_of("x", {"x": X, "dones": LAST}, tmp_path)
    assert found.series == ()
    assert found.remarks == ("may hold several series, one after the other: '/dones' takes over 64 MiB",)
    assert said_of("x", {"x": X, "labels": LAST}, tmp_path) is NOTHING


def test_values_behind_a_plugin_are_not_decoded_and_that_is_reported(tmp_path):
    hdf5plugin = pytest.importorskip("hdf5plugin")
    found = said_of("x", {"x": X, "episode_ends": ENDS}, tmp_path, **hdf5plugin.Blosc())
    assert found.series == ()
    assert "'/episode_ends' is stored in a way that a scan does not decode" in found.remarks[0]


def test_a_damaged_table_is_a_remark_and_other_fields_are_read(tmp_path):
    name = tmp_path / "a.h5"
    with h5py.File(name, "w") as file:
        file["x"] = X
        flags = file.create_dataset("dones", data=LAST, chunks=(12,), compression="gzip", fletcher32=True)
        place = flags.id.get_chunk_info(0)
    content = bytearray(name.read_bytes())
    content[place.byte_offset + place.size // 2] ^= 0xFF
    name.write_bytes(content)
    found = annotations(name, "x")
    assert found.series == ()
    assert "'/dones' cannot be read" in found.remarks[0]


def test_soft_and_external_links_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "b.h5", "w") as other:
        other["dones"] = LAST
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = X
        file["hidden"] = LAST
        file["terminals"] = h5py.SoftLink("/hidden")
        file["dones"] = h5py.ExternalLink("b.h5", "/dones")
    assert annotations(tmp_path / "a.h5", "x") is NOTHING


def test_tables_are_found_in_files_of_very_many_names(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        group = file.create_group("a")
        for number in range(2100):
            group.create_group(f"g{number}")
        file["z/data"] = X
        file["z/meta/episode_ends"] = ENDS
    assert annotations(tmp_path / "a.h5", "z/data").series[0].kind == "ends"


def test_names_are_listed_once_for_a_file(tmp_path, monkeypatch):
    calls = []
    real = NameList._visited
    monkeypatch.setattr(NameList, "_visited", lambda self: calls.append(1) or real(self))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "abcd":
            file[name] = X
    scan_file(str(tmp_path / "a.h5"), ScanRequest(None))
    assert calls == [1]
