"""The Gray-Scott reaction-diffusion system in two dimensions, many runs at once.

Two substances react and diffuse on a periodic square: ``u`` is fed and eaten by ``v``, ``v`` decays::

    ∂u/∂t = D_u ∇²u - u v² + F (1 - u)
    ∂v/∂t = D_v ∇²v + u v² - (F + k) v

With the constants of J. E. Pearson, "Complex patterns in a simple system", Science 261:189-192 (1993):
D_u = 2·10⁻⁵, D_v = 10⁻⁵, a grid spacing of 2.5/256 and time steps of 1, all dimensionless as in that
paper. The Laplacian is the five-point stencil, time is stepped forward by Euler's method.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["GrayScott", "initial_state", "laplacian", "simulate"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class GrayScott:
    """Constants of one run, all dimensionless.

    Args:
        feed_rate: F, how fast ``u`` is replenished and both are washed out.
        kill_rate: k, how fast ``v`` decays in addition.
        diffusion_u: D_u.
        diffusion_v: D_v.
        spacing: distance between neighbouring grid points.
        dt: duration of one Euler step.
    """

    feed_rate: float
    kill_rate: float
    diffusion_u: float = 2e-5
    diffusion_v: float = 1e-5
    spacing: float = 2.5 / 256
    dt: float = 1.0

    def __post_init__(self) -> None:
        # The explicit scheme amplifies the checkerboard mode beyond this number (von Neumann analysis).
        courant = max(self.diffusion_u, self.diffusion_v) * self.dt / self.spacing**2
        if courant > 0.25:
            raise ValueError(f"Euler steps are stable up to D·dt/spacing² = 0.25, found {courant:.3g}")


def laplacian(field: FloatArray) -> FloatArray:
    """Five-point stencil on a periodic grid of spacing 1.

    Args:
        field: values, ``(..., H, W)``.

    Returns:
        The sum of the four neighbours less four times the value, ``(..., H, W)``; it sums to 0.
    """
    result = -4 * field
    result[..., 1:, :] += field[..., :-1, :]
    result[..., :-1, :] += field[..., 1:, :]
    result[..., 0, :] += field[..., -1, :]
    result[..., -1, :] += field[..., 0, :]
    result[..., 1:] += field[..., :-1]
    result[..., :-1] += field[..., 1:]
    result[..., 0] += field[..., -1]
    result[..., -1] += field[..., 0]
    return result


def initial_state(runs: int, size: int, *, spots: int = 6, seed: int = 0) -> FloatArray:
    """The quiet state u = 1, v = 0 with squares of u = 1/2, v = 1/4 at random places, and 1 % noise.

    Args:
        runs: number of independent runs.
        size: points along each side of the square.
        spots: squares in each run, each an eighth of a side wide.
        seed: the same seed gives the same state on any machine.

    Returns:
        ``u`` and ``v`` as channels, ``(runs, 2, size, size)``.
    """
    random = np.random.default_rng(seed)
    state = np.zeros((runs, 2, size, size), dtype=np.float32)
    state[:, 0] = 1
    width = np.arange(max(1, size // 8))
    for run, row, column in zip(
        np.repeat(np.arange(runs), spots), *random.integers(size, size=(2, runs * spots)), strict=True
    ):
        square = np.ix_((row + width) % size, (column + width) % size)
        state[run, 0][square] = 0.5
        state[run, 1][square] = 0.25
    state *= 1 + 0.01 * random.standard_normal(state.shape, dtype=np.float32)
    return state


def simulate(state: FloatArray, runs: list[GrayScott], *, steps: int) -> Iterator[FloatArray]:
    """Frames of several runs, computed together.

    Args:
        state: where the runs start, ``(runs, 2, H, W)``; it is not changed.
        runs: the constants of each run.
        steps: Euler steps from one frame to the next.

    Yields:
        A new array ``(runs, 2, H, W)`` for each frame, without end; the first one equals ``state``.

    Raises:
        ValueError: the state does not hold one pair of fields for each run.
    """
    if state.shape[:2] != (len(runs), 2):
        raise ValueError(f"{len(runs)} runs start from ({len(runs)}, 2, H, W), found {state.shape}")
    step = _Stepper(runs)
    u, v = state[:, 0].copy(), state[:, 1].copy()
    while True:
        yield np.stack([u, v], axis=1)
        for _ in range(steps):
            step(u, v)


class _Stepper:
    """One Euler step in place, with the constants of each run broadcast over its grid."""

    def __init__(self, runs: list[GrayScott]) -> None:
        def per_run(values: list[float]) -> FloatArray:
            return np.array(values, dtype=np.float32)[:, None, None]

        self.mix_u = per_run([run.diffusion_u * run.dt / run.spacing**2 for run in runs])
        self.mix_v = per_run([run.diffusion_v * run.dt / run.spacing**2 for run in runs])
        self.dt = per_run([run.dt for run in runs])
        self.feed = per_run([run.feed_rate * run.dt for run in runs])
        self.decay = per_run([(run.feed_rate + run.kill_rate) * run.dt for run in runs])

    def __call__(self, u: FloatArray, v: FloatArray) -> None:
        reaction = self.dt * u * v * v
        change_u = self.mix_u * laplacian(u) - reaction + self.feed * (1 - u)
        change_v = self.mix_v * laplacian(v) + reaction - self.decay * v
        u += change_u
        v += change_v
