"""Names of datasets that may say where series begin and end."""

import pytest

from h5lightning.storage.scanning.series.name_roles import is_index_of, may_divide, roles_of


@pytest.mark.parametrize(
    ("role", "names"),
    [
        (
            "ends",
            "ends episode_ends ep_end traj_ends path_ends stops stop_idx cumsum cumulative_lengths EpisodeEnds",
        ),
        ("last ends", "episode_ends traj_last ep_end_idx"),
        (
            "offsets",
            "indptr ptr row_splits rowptr offsets bin1_offset chrom_offset slices cu_seqlens node1-offsets",
        ),
        ("starts", "ep_offset episode_starts traj_start_idx start_of_episode"),
        (
            "lengths",
            "ep_len lengths episode_lengths seqlen seq_len num_atoms natoms num_frames_per_video frames_per_clip",
        ),
        ("bounds", "episode_bounds trial_ranges slices episodes"),
        ("index", "spike_times_index train_index"),
        ("first", "first start from begin ep_offset start_idx"),
        ("count", "count counts ep_len n"),
        ("after", "stop to end episode_end"),
        ("last", "last end_idx"),
        ("status", "status"),
        (
            "flags",
            "terminals timeouts dones done terminated truncated is_last is_terminal episode_end next.done Terminals",
        ),
        ("inverse flags", "not_done nonterminals not_dones"),
        ("first flags", "is_first is_init episode_start"),
        ("runs", "episode_index episode_id traj_id traj_ids ep_idx episode demo_id value_rowids"),
    ],
)
def test_names_have_roles(role, names):
    assert [name for name in names.split() if role not in roles_of(name)] == []


def test_most_names_have_none():
    names = (
        "x y images labels label data indices codes categories observations actions rewards masks time timestamp step "
        "batch wavelength weekends bends endpoints end_effector shape ids patient_id class weights discount hist bins "
        "ms_to_idx frame_number donor qid pixels target box class_label success"
    )
    assert {name: roles_of(name) for name in names.split() if roles_of(name)} == {}


def test_an_inverse_flag_is_no_flag():
    assert "flags" not in roles_of("not_done") | roles_of("nonterminals")


def test_an_index_belongs_to_what_it_is_named_after():
    assert is_index_of("spike_times_index", "units/spike_times")
    assert is_index_of("spikes_index", "spikes/times")
    assert is_index_of("episode_index", "anything")
    assert not is_index_of("train_index", "images")


def test_paths_may_be_those_of_tables():
    assert may_divide("__I3Index__/pulses")
    assert may_divide("frames")
    assert may_divide("meta/episode_index")
    assert may_divide("a/terminals")
    assert not may_divide("episodes/x")
    assert not may_divide("jets")
