"""The simulation against the physics that it claims."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from h5lightning.app.demo.gray_scott import GrayScott, initial_state, laplacian, simulate


def after(state, runs, *, steps: int) -> np.ndarray:
    """The state some steps later."""
    return next(islice(simulate(state, runs, steps=steps), 1, None))


def wave(rows: int, columns: int, size: int) -> np.ndarray:
    """A plane wave with whole periods along both axes, ``(size, size)``."""
    place = 2 * np.pi * np.arange(size) / size
    return np.cos(rows * place[:, None] + columns * place[None, :]).astype(np.float32)


def test_laplacian_is_the_sum_of_neighbours_less_four_times_the_value():
    field = np.random.default_rng(0).standard_normal((3, 5, 7)).astype(np.float32)
    rolled = sum(np.roll(field, shift, axis) for shift in (-1, 1) for axis in (-1, -2))
    np.testing.assert_allclose(laplacian(field), rolled - 4 * field, atol=1e-6)


@pytest.mark.parametrize(("rows", "columns"), [(1, 0), (0, 3), (2, 5)], ids=["rows", "columns", "oblique"])
def test_plane_waves_are_eigenfunctions_of_the_laplacian(rows, columns):
    size = 32
    eigenvalue = sum(2 * np.cos(2 * np.pi * periods / size) - 2 for periods in (rows, columns))
    field = wave(rows, columns, size)
    np.testing.assert_allclose(laplacian(field), eigenvalue * field, atol=1e-5)


def test_diffusion_neither_makes_nor_destroys_substance():
    field = np.random.default_rng(1).random((4, 16, 16), dtype=np.float32)
    np.testing.assert_allclose(laplacian(field).sum(axis=(1, 2), dtype=np.float64), 0, atol=1e-4)


def test_without_v_a_wave_of_u_decays_as_diffusion_and_washout_say():
    size, steps, run = 32, 50, GrayScott(feed_rate=0.03, kill_rate=0.06)
    state = np.zeros((1, 2, size, size), dtype=np.float32)
    state[0, 0] = 1 + 0.1 * wave(1, 2, size)
    eigenvalue = sum(2 * np.cos(2 * np.pi * periods / size) - 2 for periods in (1, 2))
    factor = 1 + run.dt * (run.diffusion_u / run.spacing**2 * eigenvalue - run.feed_rate)
    u, v = after(state, [run], steps=steps)[0]
    np.testing.assert_allclose(u, 1 + 0.1 * factor**steps * wave(1, 2, size), atol=1e-5)
    assert not v.any()


@pytest.mark.parametrize("branch", [-1, 1], ids=["saddle", "node"])
def test_a_homogeneous_steady_state_stays(branch):
    # u v² = F (1 - u) and u v = F + k, solved for v.
    run = GrayScott(feed_rate=0.04, kill_rate=0.05)
    loss = run.feed_rate + run.kill_rate
    v = run.feed_rate / (2 * loss) * (1 + branch * np.sqrt(1 - 4 * loss**2 / run.feed_rate))
    state = np.broadcast_to(np.array([loss / v, v], dtype=np.float32)[None, :, None, None], (1, 2, 8, 8))
    np.testing.assert_allclose(after(state, [run], steps=20), state, atol=2e-6)


def test_one_step_is_the_formula():
    run = GrayScott(feed_rate=0.03, kill_rate=0.06, dt=0.5)
    state = np.random.default_rng(2).random((1, 2, 9, 9), dtype=np.float32)
    u, v = state[0].astype(np.float64)

    def diffusion(field):
        return sum(np.roll(field, shift, axis) for shift in (-1, 1) for axis in (0, 1)) - 4 * field

    area = run.spacing**2
    expected_u = u + 0.5 * (2e-5 / area * diffusion(u) - u * v**2 + 0.03 * (1 - u))
    expected_v = v + 0.5 * (1e-5 / area * diffusion(v) + u * v**2 - 0.09 * v)
    np.testing.assert_allclose(after(state, [run], steps=1)[0], [expected_u, expected_v], atol=1e-6)


def test_euler_converges_with_first_order():
    start = initial_state(1, 16, spots=2)

    def at_time_8(steps: int) -> np.ndarray:
        return after(start, [GrayScott(0.03, 0.06, dt=8 / steps)], steps=steps)

    finest = at_time_8(128)
    errors = [np.abs(at_time_8(steps) - finest).max() for steps in (8, 16)]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.2)


def test_runs_do_not_see_each_other():
    runs = [GrayScott(0.02, 0.055), GrayScott(0.05, 0.062)]
    state = initial_state(2, 16)
    together = after(state, runs, steps=30)
    for number, run in enumerate(runs):
        np.testing.assert_array_equal(after(state[number : number + 1], [run], steps=30)[0], together[number])


def test_frames_are_new_arrays_and_the_first_is_the_start():
    state = initial_state(1, 16)
    before = state.copy()
    frames = list(islice(simulate(state, [GrayScott(0.03, 0.06)], steps=2), 3))
    np.testing.assert_array_equal(frames[0], before)
    np.testing.assert_array_equal(state, before)
    assert not np.array_equal(frames[1], frames[2])
    assert all(frame.dtype == np.float32 for frame in frames)


def test_the_seed_decides_the_start():
    np.testing.assert_array_equal(initial_state(2, 16, seed=3), initial_state(2, 16, seed=3))
    assert not np.array_equal(initial_state(2, 16, seed=3), initial_state(2, 16, seed=4))


def test_unstable_steps_are_refused():
    with pytest.raises(ValueError, match=r"stable up to .* = 0.25, found 0.419"):
        GrayScott(0.03, 0.06, dt=2.0)


def test_a_state_for_another_number_of_runs_is_refused():
    with pytest.raises(ValueError, match=r"2 runs start from \(2, 2, H, W\), found \(1, 2, 8, 8\)"):
        next(simulate(initial_state(1, 8), [GrayScott(0.03, 0.06)] * 2, steps=1))
