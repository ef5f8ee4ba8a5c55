"""What ranks must agree on; how ranks of one job do is in ``multiprocess``."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest

from h5lightning import Access, Rows
from h5lightning.datamodule.distributed import (
    Notices,
    ShareFinder,
    check_agreement,
    from_first_rank,
    given_share,
    with_files_of_this_node,
)
from h5lightning.errors import OptionError, RanksDifferError, ShardingError
from h5lightning.options.coerce import coerce_fields
from h5lightning.planning.catalog.file_stamps import ScannedFiles
from h5lightning.planning.sampling.evaluation_shards import EvaluationShards
from h5lightning.planning.sampling.sharding import Share
from h5lightning.storage.survey import survey

SECOND_NODE = SimpleNamespace(world_size=4, node_rank=1)


@pytest.fixture
def found(write_files):
    return survey(write_files([3, 4, 5]), coerce_fields(["x"]), Rows(), access=Access())


def test_without_a_trainer_there_is_one_rank(found) -> None:
    assert ShareFinder()() == Share(0, 1)
    assert from_first_rank(None, lambda: 7) == 7
    assert with_files_of_this_node(None, found) is found
    check_agreement(None, {"seed": 1})


def test_a_copy_has_times_of_its_own(found) -> None:
    path = Path(found.index.path(1))
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    here = with_files_of_this_node(SECOND_NODE, found)
    status = path.stat()
    assert ScannedFiles(here.catalog).find(str(path))[:2] == (status.st_size, status.st_mtime_ns)
    assert ScannedFiles(found.catalog).find(str(path))[1] != status.st_mtime_ns
    assert here.index is found.index


def test_a_node_without_the_files_says_so(found) -> None:
    missing, other = Path(found.index.path(0)), Path(found.index.path(2))
    missing.unlink()
    with h5py.File(other, "a") as file:
        file["more"] = range(10_000)
    with pytest.raises(RanksDifferError) as caught:
        with_files_of_this_node(SECOND_NODE, found)
    text = str(caught.value)
    assert f"{missing} cannot be opened (No such file or directory)" in text
    assert f"{other} has {other.stat().st_size} bytes" in text
    assert "shared file system" in text


def test_the_first_node_takes_what_it_found(found) -> None:
    Path(found.index.path(0)).unlink()
    assert with_files_of_this_node(SimpleNamespace(world_size=4, node_rank=0), found) is found


def attached(rank: int, world_size: int):
    kwargs = {"rank": rank, "num_replicas": world_size}
    return lambda: SimpleNamespace(distributed_sampler_kwargs=kwargs if world_size > 1 else None)


def test_what_the_user_gives_counts_more_than_the_trainer() -> None:
    assert ShareFinder(Share(2, 5), attached(1, 4))() == Share(2, 5)
    assert ShareFinder(None, attached(1, 4))() == Share(1, 4)
    assert ShareFinder(None, attached(0, 1))() == Share(0, 1)


def test_ranks_of_torchrun_without_a_group_are_an_error(monkeypatch) -> None:
    """Each of them would deliver all samples."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ShardingError, match=r"one of 2 ranks.*init_process_group.*rank=0, world_size=1"):
        ShareFinder()()
    assert ShareFinder(Share(1, 2))() == Share(1, 2)
    assert ShareFinder(None, attached(0, 1))() == Share(0, 1)


@pytest.mark.parametrize(
    "variables",
    [{"WORLD_SIZE": "1", "RANK": "0"}, {"SLURM_NTASKS": "4", "SLURM_PROCID": "1"}],
    ids=["alone", "slurm"],
)
def test_other_variables_are_no_evidence_of_ranks(monkeypatch, variables) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert ShareFinder()() == Share(0, 1)


@pytest.mark.parametrize(
    ("rank", "world_size", "message"),
    [
        (0, None, "given together"),
        (None, 2, "given together"),
        (2, 2, "less than world_size=2, found 2"),
        (-1, 2, "rank must be"),
        (0, 0, "world_size must be"),
        (True, 2, "rank must be"),
    ],
)
def test_half_a_share_is_refused(rank, world_size, message) -> None:
    with pytest.raises(OptionError, match=message):
        given_share(rank, world_size)
    assert given_share(None, None) is None


def test_sources_of_this_node(found, tmp_path) -> None:
    source = tmp_path / "source.h5"
    source.write_bytes(Path(found.index.path(0)).read_bytes())
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["x"] = h5py.ExternalLink("source.h5", "/x")
    access = Access(allow_external=str(tmp_path))
    linked = survey(str(tmp_path / "linked.h5"), coerce_fields(["x"]), Rows(), access=access)
    content = source.read_bytes()
    source.unlink()
    source.write_bytes(content)
    here = with_files_of_this_node(SECOND_NODE, linked)
    (stamp,) = here.scanned_files.sources_of(str(tmp_path / "linked.h5")).values()
    assert stamp[1] == source.stat().st_mtime_ns
    source.write_bytes(content + b"\0")
    with pytest.raises(
        RanksDifferError, match=rf"source\.h5 has {len(content) + 1} bytes, {len(content)} on rank 0"
    ):
        with_files_of_this_node(SECOND_NODE, linked)
    source.unlink()
    with pytest.raises(RanksDifferError, match=rf"source\.h5 does not exist, {len(content)} on rank 0"):
        with_files_of_this_node(SECOND_NODE, linked)


def test_unequal_steps_are_said_once() -> None:
    """With batches of one sample, and where torch cuts the batches (predict)."""
    notices, share = Notices(), Share(0, 2)
    single = EvaluationShards(17, 2, 1)
    with pytest.warns(
        UserWarning, match=r"val: 17 samples with batch_size=1 make one step fewer.*eval_tail='repeat'"
    ):
        notices.of_evaluation("val", ShareFinder(), share, single, True)
    notices.of_evaluation("val", ShareFinder(), share, single, True)
    plain = EvaluationShards(17, 2, 8)
    notices.of_evaluation("test", ShareFinder(), share, plain, True)
    with pytest.warns(UserWarning, match=r"predict: 17 .*batch_size=8 .*eval_tail='repeat'"):
        notices.of_evaluation("predict", ShareFinder(), share, plain, False)
    repeated = EvaluationShards(17, 2, 8, "repeat")
    notices.of_evaluation("other", ShareFinder(), share, repeated, False)
