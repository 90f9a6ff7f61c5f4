"""A study whose process is killed repeatedly: `python kills.py OUTPUT RUNS STEPS WORKERS`."""

import hashlib
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from study.cases import PROBLEM, steady

import kanpinn as kp
from kanpinn._support.files import only_one
from kanpinn.runs.study.plan import LOCKS
from kanpinn.runs.study.table import RUNS

Files = dict[Path, tuple[int, str]]  # when each was last written, and its content's hash


@dataclass(frozen=True)
class Survived:
    """The state after the kills, and after the study has then been finished."""

    kills: int
    finished: list[int]  # runs that were finished at each kill
    lost: int  # files of finished runs that were gone, or written again, at any later time
    partial: int
    rows: int  # that are finished in the end
    different: int  # that have other errors than without the kills


def survive(
    kills: int, runs: int, steps: int, workers: int, seed: int, whole: kp.Study, output: Path
) -> Survived:
    """Kill a study so often, at random moments, let it finish, and compare with `whole`.

    whole: the same study without kills.
    """
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, __file__, str(output), str(runs), str(steps), str(workers)]
    moments = random.Random(seed)
    kept: Files = {}
    counts, lost, killed = [], 0, 0
    for left in range(kills, 0, -1):
        killed += _kill(command, output, moments, (runs - _count(kept)) / (left + 1))
        files = _finished(output)
        lost += sum(files.get(file) != kept[file] for file in kept)
        kept |= files
        counts.append(_count(kept))
    subprocess.run(command, check=True)
    files = _finished(output)
    lost += sum(files.get(file) != kept[file] for file in kept)
    (folder,) = output.iterdir()
    study = kp.Study.read(folder)
    return Survived(
        killed,
        counts,
        lost,
        len(list((folder / RUNS).glob("*.partial"))),
        sum(row["l2_relative"] is not None for row in study.rows),
        sum(a["l2_relative"] != b["l2_relative"] for a, b in _pairs(study, whole)),
    )


def _pairs(study: kp.Study, whole: kp.Study) -> list[tuple[dict, dict]]:
    return list(zip(study.rows, whole.rows, strict=True))


def _kill(command: list[str], output: Path, moments: random.Random, share: float) -> bool:
    """Start the study and kill it: one time in four before it does anything, else during its runs.

    share: the mean number of runs that it may finish until then.
    """
    process = subprocess.Popen(command)
    before = _folders(output)
    if moments.random() < 0.25:
        time.sleep(moments.uniform(0, 2))
    else:
        more = moments.uniform(0, 2 * share)
        while process.poll() is None and len(_folders(output) - before) < more:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.3))
    process.kill()
    return process.wait() < 0


def _folders(output: Path) -> set[Path]:
    return set(output.glob(f"*/{RUNS}/*"))


def _finished(output: Path) -> Files:
    """Return the files of the finished runs, once no worker is left."""
    for lock in output.glob(f"*/{LOCKS}/*"):
        with only_one(lock):
            pass
    files = [f for f in output.glob(f"*/{RUNS}/*/*") if f.parent.suffix != ".partial"]
    return {f: (f.stat().st_mtime_ns, hashlib.sha256(f.read_bytes()).hexdigest()) for f in files}


def _count(files: Files) -> int:
    return len({file.parent for file in files})


if __name__ == "__main__":
    runs, steps, workers = map(int, sys.argv[2:])
    kp.sweep(PROBLEM, steady(runs, steps), output=sys.argv[1], workers=workers)
