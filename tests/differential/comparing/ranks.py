"""Several ranks: forked here with the variables of a launcher, or ranks of a real torchrun that wait for work."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import socket
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comparing.case import Case
from comparing.children import Ended, run_limited
from comparing.configurations import Configuration
from comparing.disagreement import DisagreementError, RefusedError
from comparing.filesets import FileSet

__all__ = ["RANK_LIMIT_S", "Place", "run_ranks", "torchrun", "wait_for_work"]

RANK_LIMIT_S = 45.0
_POOL = "H5LIGHTNING_DIFFERENTIAL_POOL"  # the folder through which work comes to the ranks of torchrun
_POLL_S = 0.01
_APART_S = 10.0  # ranks end together


@dataclass(frozen=True)
class Place:
    """Which rank this is, and how it was launched.

    Args:
        rank: its number.
        world: how many there are.
        launcher: ``torchrun``, ``as torchrun`` (its variables) or ``bare`` (those that Lightning's launcher sets).
    """

    rank: int
    world: int
    launcher: str


@dataclass(frozen=True)
class _Work:
    kind: str
    seed: int
    folder: str
    files: FileSet
    configuration: Configuration
    work: Callable[[Case, Place, Any], Any]
    told: Any
    port: int

    def do(self, place: Place) -> Any:
        """What one rank does: what it returns, or the disagreement that it found."""
        warnings.simplefilter("ignore")
        case = Case(self.kind, self.seed, self.folder)
        case.files, case.configuration = self.files, self.configuration
        case.rng = random.Random(f"{self.kind}/{self.seed}/ranks")
        try:
            return "right", self.work(case, place, self.told), case.log
        except DisagreementError as found:
            return "disagreement", str(found), case.log
        except RefusedError as refusal:
            return "refused", str(refusal), case.log
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            return "error", f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-10)}", case.log


def run_ranks(
    case: Case, work: Callable[[Case, Place, Any], Any], told: Any = None, *, world: int = 2
) -> list[Any]:
    """Let several ranks do the same, and return what each of them returned.

    Args:
        case: the case, which was drawn.
        work: is given the case, the rank's place and ``told``; a function of a module.
        told: anything that is pickled.
        world: how many ranks.
    """
    launcher = case.rng.choice(("torchrun", "as torchrun", "bare"))
    if case.files is None:
        raise RuntimeError("nothing was drawn")
    pool = os.environ.get(_POOL)
    if launcher == "torchrun" and (pool is None or world != 2):
        launcher = "as torchrun"
    case.note(
        f"{world} ranks, {launcher}: comparing.{work.__module__.split('.')[-1]}.{work.__name__}({told!r})"
    )
    job = _Work(case.kind, case.seed, case.folder, case.files, case.chosen, work, told, _free_port())
    ended = _in_pool(job, pool) if launcher == "torchrun" and pool else _forked(job, launcher, world)
    return _returned(case, ended)


def _returned(case: Case, ended: list[Ended]) -> list[Any]:
    answered = {rank: one.value for rank, one in enumerate(ended) if not one.problem}
    # One that fails lets the others wait in vain.
    for verdict in ("disagreement", "error", "refused"):
        for rank, (found, words, log) in answered.items():
            if found == verdict:
                case.log += [f"rank {rank}: {line}" for line in log]
                if verdict == "refused":
                    raise RefusedError(words)
                raise DisagreementError(f"rank {rank}: {verdict}", words, "")
    for rank, one in enumerate(ended):
        if one.problem:
            raise DisagreementError(f"rank {rank} ended with a {one.problem}", one.words, "no problem")
    case.log += [f"rank 0: {line}" for line in ended[0].value[2]]
    return [one.value[1] for one in ended]


# ── forked ───────────────────────────────────────────────────────────────────────────────────────────


def _forked(job: _Work, launcher: str, world: int) -> list[Ended]:
    def rank_of(rank: int) -> Callable[[], Any]:
        def run() -> Any:
            os.environ.update(_variables(launcher, rank, world, job.port))
            return job.do(Place(rank, world, launcher))

        return run

    return run_limited([rank_of(rank) for rank in range(world)], limit_s=RANK_LIMIT_S, apart_s=_APART_S)


def _variables(launcher: str, rank: int, world: int, port: int) -> dict[str, str]:
    found = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank)}
    if launcher == "bare":
        return {**found, "NODE_RANK": "0"}
    return {
        **found,
        "RANK": str(rank),
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "GROUP_RANK": "0",
        "ROLE_RANK": str(rank),
        "TORCHELASTIC_RUN_ID": "none",
        "TORCHELASTIC_RESTART_COUNT": "0",
        "TORCHELASTIC_MAX_RESTARTS": "0",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ── ranks of torchrun ────────────────────────────────────────────────────────────────────────────────


@contextmanager
def torchrun(folder: str, program: str) -> Iterator[None]:
    """A torchrun of two ranks that wait for work, as long as the context lasts.

    Args:
        folder: an empty folder.
        program: is started with ``--wait-for-work FOLDER``, and calls `wait_for_work`.
    """
    os.makedirs(folder)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", program]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(os.path.join(folder, "words"), "w", encoding="utf-8") as words:
        launched = subprocess.Popen(
            [*command, "--wait-for-work", folder], env=environment, stdout=words, stderr=words
        )
    os.environ[_POOL] = folder
    try:
        yield
    finally:
        del os.environ[_POOL]
        Path(folder, "end").touch()
        try:
            launched.wait(20)
        except subprocess.TimeoutExpired:
            launched.kill()
            launched.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _in_pool(job: _Work, pool: str) -> list[Ended]:
    number = len([name for name in os.listdir(pool) if name.endswith(".work")])
    path = os.path.join(pool, f"{number}.work")
    _write(path, pickle.dumps(job))
    answers = [os.path.join(pool, f"{number}.{rank}") for rank in (0, 1)]
    end_s = time.monotonic() + RANK_LIMIT_S + 40  # the ranks may still be starting
    while not all(os.path.exists(answer) for answer in answers):
        if time.monotonic() > end_s:
            words = Path(pool, "words").read_text(encoding="utf-8")[-4000:]
            raise DisagreementError("the ranks of torchrun", f"no answer; {words}", "an answer")
        time.sleep(_POLL_S)
    return [pickle.loads(Path(answer).read_bytes()) for answer in answers]


def wait_for_work(pool: str) -> None:
    """What each rank of torchrun does: fork a child for each work that comes, until there is an end.

    Args:
        pool: the folder.
    """
    rank, world, number = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), 0
    launcher = os.getppid()
    while os.getppid() == launcher:
        path = os.path.join(pool, f"{number}.work")
        if os.path.exists(path):
            _answer(path, Place(rank, world, "torchrun"))
            number += 1
        elif os.path.exists(os.path.join(pool, "end")):
            return
        else:
            time.sleep(_POLL_S)


def _answer(path: str, place: Place) -> None:
    job: _Work = pickle.loads(Path(path).read_bytes())

    def run() -> Any:
        # In torchrun's own store lie the addresses of those before.
        os.environ.update(TORCHELASTIC_USE_AGENT_STORE="False", MASTER_PORT=str(job.port))
        return job.do(place)

    (ended,) = run_limited([run], limit_s=RANK_LIMIT_S)
    _write(f"{path.removesuffix('.work')}.{place.rank}", pickle.dumps(ended))


def _write(path: str, data: bytes) -> None:
    with open(f"{path}.part", "wb") as file:
        file.write(data)
    os.replace(f"{path}.part", path)
