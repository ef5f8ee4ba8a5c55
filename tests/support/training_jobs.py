"""Runs real Trainers in processes of their own, which may be killed, one job after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


class Jobs:
    """Runs jobs of `rank_jobs`, one after the other, over the same files.

    Args:
        files: their pattern.
        folder: where each job has a folder of its own.
        fixed: what all jobs have in common, unless they say it themselves.
    """

    def __init__(self, files: str, folder: Path, **fixed: Any) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("rank_jobs.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip
        self._fixed = {"files": files, "world": 2, **fixed}
        self.files, self.folder = files, folder

    def run(self, name: str, **job: Any) -> dict[str, Any]:
        """How a job ended, and what its model has seen on each rank, if it came to its end."""
        job = {**self._fixed, "folder": str(self.folder / name), **job}
        job["data"] = {**self._fixed["data"], **job["data"]}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        ended = json.loads(self._process.stdout.readline())
        written = [
            self.folder / name / f"rank-{rank}-{job.get('fits', 1) - 1}.json" for rank in range(job["world"])
        ]
        return {**ended, "ranks": [json.loads(one.read_text()) for one in written if one.exists()]}

    def resume(self, checkpoint: str, **job: Any) -> dict[str, Any]:
        """Resume one, which must come to its end."""
        name = f"again-{len(list(self.folder.iterdir()))}"
        ended = self.run(name, checkpoint=str(self.folder / f"{checkpoint}.ckpt"), **job)
        assert not ended["killed"]
        assert ended["errors"] == []
        return ended

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.stdout.close()
