"""Small files as the programs of several fields write them: one function for each layout, which fills a folder."""

import re

import h5py
import imagecodecs
import numpy as np

__all__ = [
    "aloha",
    "aloha_of_jpeg",
    "anakin",
    "bags",
    "ct_volumes",
    "d4rl",
    "diffusion_policy",
    "em_volume",
    "fastmri",
    "h5md",
    "libero",
    "maniskill",
    "matlab",
    "matlab_of_columns",
    "minari",
    "nwb_units",
    "particles_of_several_systems",
    "pdebench",
    "pdebench_groups",
    "point_clouds",
    "recordings",
    "robomimic",
    "several_volumes",
    "stable_worldmodel",
    "trident",
    "well",
]

RNG = np.random.default_rng(0)
LENGTHS = (24, 31, 19, 40, 27, 22, 35, 28, 30, 26, 33, 21)


def pixels(*shape):
    return RNG.integers(0, 255, shape, dtype="u1")


def normal(*shape):
    return RNG.normal(size=shape).astype("f4")


# ── demonstrations ───────────────────────────────────────────────────────────────────────────────────


def robomimic(folder):
    """Groups ``data/demo_*`` with images and positions, the next ones too; masks say what is for training."""
    with h5py.File(folder / "image.hdf5", "w") as file:
        file.create_group("data").attrs.update(total=sum(LENGTHS), env_args="{}")
        for number, rows in enumerate(LENGTHS):
            demo = file.create_group(f"data/demo_{number}")
            demo.attrs.update(num_samples=rows, model_file="<mujoco/>")
            demo["actions"], demo["states"] = normal(rows, 7).astype("f8"), normal(rows, 32).astype("f8")
            demo["rewards"], demo["dones"] = np.zeros(rows), (np.arange(rows) == rows - 1).astype("i8")
            for group in ("obs", "next_obs"):
                demo.create_dataset(
                    f"{group}/agentview_image",
                    data=pixels(rows, 12, 12, 3),
                    chunks=(1, 12, 12, 3),
                    compression="gzip",
                )
                demo[f"{group}/robot0_eef_pos"] = normal(rows, 3).astype("f8")
                demo[f"{group}/robot0_gripper_qpos"] = normal(rows, 2).astype("f8")
        names = np.array([f"demo_{number}" for number in range(len(LENGTHS))], dtype="S8")
        file["mask/train"], file["mask/valid"] = np.delete(names, [2, 10]), names[[2, 10]]


def libero(folder):
    """A file for each task; cameras, positions, and the state of the simulator, as wide as the scene needs."""
    for task in range(2):
        with h5py.File(folder / f"task_{task}_demo.hdf5", "w") as file:
            file.create_group("data").attrs.update(num_demos=10, problem_info="{}", env_name="Libero")
            for number, rows in enumerate(LENGTHS[:10]):
                demo = file.create_group(f"data/demo_{number}")
                demo.attrs["num_samples"] = rows
                demo["actions"], demo["states"] = normal(rows, 7), normal(rows, 60 + 9 * task)
                demo["rewards"], demo["dones"] = np.zeros(rows, "u1"), np.zeros(rows, "u1")
                demo["obs/agentview_rgb"], demo["obs/eye_in_hand_rgb"] = (
                    pixels(rows, 8, 8, 3),
                    pixels(rows, 8, 8, 3),
                )
                demo["obs/joint_states"], demo["robot_states"] = normal(rows, 7), normal(rows, 9)


def minari(folder):
    """Groups ``episode_*``: one observation more than actions, and what else the environment says."""
    with h5py.File(folder / "main_data.hdf5", "w") as file:
        for number, rows in enumerate(LENGTHS):
            episode = file.create_group(f"episode_{number}")
            episode.attrs.update(id=number, seed=number, total_steps=rows)
            episode["observations"], episode["actions"] = normal(rows + 1, 17).astype("f8"), normal(rows, 6)
            episode["rewards"] = normal(rows).astype("f8")
            episode["terminations"], episode["truncations"] = (
                np.zeros(rows, bool),
                np.arange(rows) == rows - 1,
            )
            episode["infos/x_position"] = normal(rows + 1).astype("f8")


def maniskill(folder):
    """Groups ``traj_*`` with nested observations, one more than actions."""
    with h5py.File(folder / "trajectory.h5", "w") as file:
        for number, rows in enumerate(LENGTHS):
            made = file.create_group(f"traj_{number}")
            made["actions"] = normal(rows, 8)
            made["obs/agent/qpos"], made["obs/agent/qvel"] = normal(rows + 1, 9), normal(rows + 1, 9)
            made["obs/sensor_data/base_camera/rgb"] = pixels(rows + 1, 8, 8, 3)
            made["env_states/actors/cube"] = normal(rows + 1, 13)
            made["terminated"] = made["success"] = np.arange(rows) == rows - 1
            made["truncated"] = np.zeros(rows, bool)


def aloha(folder):
    """A file for each episode, all as long as each other: two arms, four cameras, here two."""
    for number in range(12):
        with h5py.File(folder / f"episode_{number}.hdf5", "w") as file:
            file.attrs["sim"] = True
            file["action"] = normal(40, 14)
            file["observations/qpos"], file["observations/qvel"] = normal(40, 14), normal(40, 14)
            for camera in ("top", "left_wrist"):
                file.create_dataset(
                    f"observations/images/{camera}", data=pixels(40, 12, 16, 3), chunks=(1, 12, 16, 3)
                )


def aloha_of_jpeg(folder):
    """As above, with one camera whose images are JPEG of variable length."""
    for number in range(12):
        with h5py.File(folder / f"episode_{number}.hdf5", "w") as file:
            file["action"], file["observations/qpos"] = normal(40, 14), normal(40, 14)
            images = file.create_dataset("observations/images/top", (40,), h5py.vlen_dtype("u1"))
            for row in range(40):
                images[row] = np.frombuffer(imagecodecs.jpeg_encode(pixels(16, 24, 3)), "u1")


# ── replay buffers ───────────────────────────────────────────────────────────────────────────────────


def diffusion_policy(folder):
    """One row after the other; ``meta/episode_ends`` says where episodes end."""
    ends = np.cumsum(LENGTHS)
    with h5py.File(folder / "pusht.h5", "w") as file:
        file["data/img"] = pixels(ends[-1], 8, 8, 3)
        file["data/state"], file["data/action"] = normal(ends[-1], 5), normal(ends[-1], 2)
        file["meta/episode_ends"] = ends


def stable_worldmodel(folder):
    """Columns, and the length and the first row of each episode."""
    lengths = np.array(LENGTHS)
    with h5py.File(folder / "world.h5", "w") as file:
        file["pixels"], file["action"] = pixels(lengths.sum(), 8, 8, 3), normal(lengths.sum(), 2)
        file["proprio"] = normal(lengths.sum(), 4)
        file["ep_len"], file["ep_offset"] = lengths, np.cumsum(lengths) - lengths


def d4rl(folder):
    """Flags say where episodes end, and that they were cut."""
    with h5py.File(folder / "halfcheetah.hdf5", "w") as file:
        for name, width in (("observations", 17), ("next_observations", 17), ("actions", 6)):
            file[name] = normal(600, width)
        file["rewards"] = normal(600)
        file["terminals"], file["timeouts"] = np.zeros(600, bool), np.arange(600) % 50 == 49


# ── simulations on grids ─────────────────────────────────────────────────────────────────────────────


def well(folder):
    """The Well: trajectories along axis 0, time along axis 1; fields by the order of their tensors."""
    for number in range(2):
        with h5py.File(folder / f"Re_{number}.hdf5", "w") as file:
            file.attrs.update(grid_type="cartesian", n_spatial_dims=2, n_trajectories=12, dataset_name="flow")
            file["dimensions/time"] = np.linspace(0, 1, 20, dtype="f4")
            file["dimensions/x"], file["dimensions/y"] = np.linspace(0, 1, 8), np.linspace(0, 1, 6)
            file["t0_fields/pressure"], file["t0_fields/tracer"] = normal(12, 20, 8, 6), normal(12, 20, 8, 6)
            file["t1_fields/velocity"] = normal(12, 20, 8, 6, 2)
            file.create_group("t2_fields")
            file["scalars/Reynolds"] = np.float32(100 * number)
            file["boundary_conditions/x_periodic/mask"] = np.zeros(8, bool)
            for path in ("t0_fields/pressure", "t0_fields/tracer", "t1_fields/velocity"):
                file[path].attrs.update(sample_varying=True, time_varying=True)


def pdebench(folder):
    """PDEBench: ``tensor`` of ``(N, T, X)``; one time more than there are steps."""
    with h5py.File(folder / "1D_Burgers_Nu0.01.hdf5", "w") as file:
        file["tensor"] = normal(40, 21, 32)
        file["t-coordinate"], file["x-coordinate"] = np.linspace(0, 2, 22), np.linspace(0, 1, 32)


def pdebench_groups(folder):
    """PDEBench, two-dimensional: a group for each trajectory, with its own grid."""
    with h5py.File(folder / "2D_diff-react.h5", "w") as file:
        for number in range(20):
            file[f"{number:04}/data"] = normal(21, 8, 8, 2)
            for axis, size in (("t", 21), ("x", 8), ("y", 8)):
                file[f"{number:04}/grid/{axis}"] = np.linspace(0, 1, size, dtype="f4")


# ── ragged ───────────────────────────────────────────────────────────────────────────────────────────


def fastmri(folder):
    """A file for each acquisition: slices, coils, and an image whose width differs."""
    for number in range(12):
        slices, width = 8 + number % 4, 24 + 2 * (number % 3)
        with h5py.File(folder / f"file_brain_{number:03}.h5", "w") as file:
            file["kspace"] = (normal(slices, 4, 32, width) + 1j * normal(slices, 4, 32, width)).astype("c8")
            file["reconstruction_rss"] = normal(slices, 16, 16)
            file["ismrmrd_header"] = b"<ismrmrdHeader/>"
            file.attrs.update(
                max=0.5 + number, norm=3.0, acquisition=f"AXT{1 + number % 2}", patient_id=f"p{number // 2}"
            )


def bags(folder):
    """CLAM: features and coordinates of the patches of a slide, in a file for each slide."""
    for number, patches in enumerate(LENGTHS):
        with h5py.File(folder / f"slide_{number}.h5", "w") as file:
            file.create_dataset("features", data=normal(patches, 32), chunks=(1, 32), maxshape=(None, 32))
            file.create_dataset("coords", data=RNG.integers(0, 9999, (patches, 2)), maxshape=(None, 2))
            file["coords"].attrs.update(patch_level=0, patch_size=256)


def trident(folder):
    """TRIDENT: as CLAM, with a first axis of one slide, and attributes of the encoder."""
    for number, patches in enumerate(LENGTHS):
        with h5py.File(folder / f"TCGA-{number}.h5", "w") as file:
            file["features"], file["coords"] = normal(patches, 64), RNG.integers(0, 9999, (patches, 2))
            file["features"].attrs.update(encoder="uni_v1", name=f"TCGA-{number}")
            file["coords"].attrs.update(patch_size=512, target_magnification=20, level0_width=9999)


def nwb_units(folder):
    """NWB: spike times of all units one after the other; ``spike_times_index`` is the end of each unit."""
    for number in range(4):
        spikes = np.random.default_rng(number).integers(5, 30, 12)
        with h5py.File(folder / f"sub-{number}_ecephys.nwb", "w") as file:
            file.attrs.update(nwb_version="2.7.0", neurodata_type="NWBFile", namespace="core")
            units = file.create_group("units")
            units.attrs.update(neurodata_type="Units", colnames=["spike_times", "quality"], namespace="core")
            units["spike_times"] = np.sort(RNG.random(spikes.sum()) * 60)
            units["spike_times_index"] = np.cumsum(spikes)
            units["spike_times_index"].attrs.update(
                neurodata_type="VectorIndex", target=units["spike_times"].ref
            )
            units["id"], units["quality"] = np.arange(12), RNG.integers(0, 3, 12)
            units["spike_times"].attrs.update(neurodata_type="VectorData", description="s")


def point_clouds(folder):
    """All points one after the other, n + 1 offsets, and a label for each cloud."""
    for number in range(2):
        sizes = np.random.default_rng(number).integers(20, 60, 30)
        with h5py.File(folder / f"clouds{number}.h5", "w") as file:
            file["points"] = normal(sizes.sum(), 3)
            file["offsets"] = np.concatenate([[0], np.cumsum(sizes)])
            file["labels"] = RNG.integers(0, 5, 30)


def anakin(folder):
    """ANI-1x: a group for each formula, with conformations of as many atoms as it has; total energies in hartree."""
    carbon = [f"C{number}H{2 * number + 2}" for number in range(1, 9)]
    with h5py.File(folder / "ani1x.h5", "w") as file:
        for number, formula in enumerate(
            [*carbon, "H3N1", "H2O1", "C1H2O1", "C2H4O1", "C2H6O1", "C1H1N1", "N2O1"]
        ):
            atoms, rows = sum(map(int, re.findall(r"\d+", formula))), 14 + number
            group = file.create_group(formula)
            group["atomic_numbers"] = RNG.integers(1, 9, atoms).astype("u1")
            group["coordinates"], group["wb97x_dz.forces"] = normal(rows, atoms, 3), normal(rows, atoms, 3)
            group["wb97x_dz.energy"] = RNG.normal(size=rows) - 380


# ── frames, volumes and recordings ───────────────────────────────────────────────────────────────────


def h5md(folder):
    """H5MD: frames of particles, with the step and the time of each."""
    for number in range(3):
        with h5py.File(folder / f"run{number}.h5", "w") as file:
            file.create_group("h5md").attrs["version"] = [1, 1]
            file["h5md"].create_group("creator").attrs["name"] = "MDAnalysis"
            for name in ("position", "velocity"):
                group = file.create_group(f"particles/trajectory/{name}")
                group.create_dataset("value", data=normal(200, 10, 3), chunks=(1, 10, 3))
                group["step"], group["time"] = np.arange(200), np.arange(200) * 0.5
            file["particles/trajectory/box/edges/value"] = np.tile(np.eye(3, dtype="f4"), (200, 1, 1))
            file["particles/trajectory/box/edges/step"] = np.arange(200)


def particles_of_several_systems(folder):
    """H5MD: the number of particles differs between files."""
    for number in range(12):
        with h5py.File(folder / f"system{number}.h5", "w") as file:
            for name in ("position", "velocity"):
                file[f"particles/all/{name}/value"] = normal(40, 10 + number % 3, 3)
                file[f"particles/all/{name}/step"] = np.arange(40)


def em_volume(folder):
    """CREMI: one large volume, and the number of the neuron of each voxel."""
    with h5py.File(folder / "sample_A.hdf", "w") as file:
        file.create_dataset("volumes/raw", data=pixels(80, 96, 96), chunks=(16, 32, 32), compression="gzip")
        file["volumes/raw"].attrs["resolution"] = [40.0, 4.0, 4.0]
        file.create_dataset(
            "volumes/labels/neuron_ids", data=RNG.integers(0, 99, (80, 96, 96), "u8"), chunks=(16, 32, 32),
            compression="gzip",
        )  # fmt: skip


def several_volumes(folder):
    """pytorch-3dunet: a volume of several channels in each file, and the class of each voxel."""
    for number in range(4):
        shape = (40 + 4 * number, 64, 64)
        with h5py.File(folder / f"vol{number}.h5", "w") as file:
            file["raw"], file["label"] = normal(2, *shape), RNG.integers(0, 3, shape, "u1")


def ct_volumes(folder):
    """A volume in each file, and one label for each volume."""
    for number in range(12):
        with h5py.File(folder / f"ct{number}.h5", "w") as file:
            file["volume"] = RNG.integers(-1000, 1000, (40 + number, 64, 64), "i2")
            file["label"] = number % 2


def matlab(folder):
    """MATLAB v7.3: a user block of 512 bytes, and ``(channels, times)`` stored as ``(times, channels)``."""
    for number in range(4):
        path = folder / f"subject{number}.mat"
        with h5py.File(path, "w", userblock_size=512) as file:
            file["eeg"] = normal(3000, 19).astype("f8")
            file["fs"] = np.array([[250.0]])
            for name in ("eeg", "fs"):
                file[name].attrs["MATLAB_class"] = np.bytes_("double")
        with open(path, "r+b") as raw:
            raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM")


def matlab_of_columns(folder):
    """A matrix of ``(samples, features)`` and its labels, as MATLAB v7.3 stores them."""
    for number in range(12):
        path = folder / f"part{number}.mat"
        with h5py.File(path, "w", userblock_size=512) as file:
            file["X"], file["labels"] = normal(30, 200), RNG.integers(0, 3, (1, 200)).astype("u1")
            file["X"].attrs["MATLAB_class"], file["labels"].attrs["MATLAB_class"] = (
                np.bytes_("single"),
                np.bytes_("uint8"),
            )
        with open(path, "r+b") as raw:
            raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM")


def recordings(folder):
    """Recordings of ``(channels, times)``."""
    for number in range(4):
        with h5py.File(folder / f"rec{number}.h5", "w") as file:
            file["signal"] = normal(19, 3000 + 100 * number)
            file.attrs["sfreq"] = 250.0
