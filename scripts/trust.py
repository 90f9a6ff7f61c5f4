"""What kanpinn says of files that are wrong: mutated problem files, damaged run folders.

What: random mutations of the files of problems/, of their tables, values and characters, are given
to `kanpinn check`; run folders of a solve and of a fit, with a file that is cut off, has a flipped
bit or other contents, to `kanpinn export` and `--resume`. A command fails if it prints a traceback
or more than 2 kB, takes more than 20 s or 1 GB of memory beyond that of the imports, ends by a
signal or without a word, or changes a folder that it refuses.

How: each command runs in a fork of this process. The commands that have failed are listed with the
file that reproduces it, which stays in --output.

How long: some twenty minutes on one core; --smoke: half a minute.

Writes to --output: trust.json, failures.md, and the files that made a command fail.
"""

import shutil
from collections import Counter
from pathlib import Path

import torch
from common import options, verdicts
from common.problem_files import PROBLEMS
from hostile import commands, damage, mutations

NAME = Path(__file__).stem


def main() -> None:
    parser = options.parser(NAME, __doc__)
    parser.add_argument("--mutations", type=int, default=2000, help="of problem files (2000)")
    parser.add_argument("--damages", type=int, default=300, help="of each run folder (300)")
    parser.add_argument("--seed", type=int, default=0, help="of all draws (0)")
    chosen = options.finish(NAME, parser.parse_args())
    if chosen.smoke:
        chosen.mutations, chosen.damages = 24, 2
    torch.set_num_threads(1)
    chosen.output.mkdir(parents=True, exist_ok=True)
    commands.prepare(["check", str(PROBLEMS / "poisson2d.toml")])
    failures: list[str] = []
    figures = checked(chosen.output, chosen.mutations, chosen.seed, failures)
    for kind in damage.FILES:
        figures |= damaged(kind, chosen.output, chosen.damages, chosen.seed, failures)
    listed = "".join(f"- {failure}\n" for failure in failures) or "None.\n"
    (chosen.output / "failures.md").write_text(f"# Commands that failed\n\n{listed}", "utf-8")
    verdicts.write(chosen.output / f"{NAME}.json", figures)
    for name, figure in figures.items():
        print(f"{name}: {figure['value']} ({figure['target']})")


def checked(output: Path, count: int, seed: int, failures: list[str]) -> dict[str, verdicts.Figure]:
    """Give mutated files to `kanpinn check`, beside copies of the files that they name."""
    folder = output / "mutated"
    shutil.copytree(PROBLEMS, folder, dirs_exist_ok=True, ignore=_unused)
    codes: Counter[int] = Counter()
    before = len(failures)
    for name, contents in mutations.mutations(sorted(PROBLEMS.glob("*.toml")), count, seed):
        path = folder / f"mutated_{name}.toml"
        path.write_bytes(contents)
        done = commands.run(["check", str(path)], 40)
        codes[done.code] += 1
        if faults := done.faults():
            failures.append(f"kanpinn check {path}: {', '.join(faults)}")
        else:
            path.unlink()
    found = len(failures) - before
    return {
        "mutated files: commands that fail": {
            "value": found,
            "target": f"0 of {count}",
            "met": found == 0,
        },
        "mutated files: exit codes": {
            "value": {str(code): number for code, number in sorted(codes.items())},
            "target": "0 where the file is still one, or 2",
            "met": set(codes) <= {0, 2},
        },
    }


def _unused(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith("__")]


def damaged(
    kind: str, output: Path, count: int, seed: int, failures: list[str]
) -> dict[str, verdicts.Figure]:
    """Give damaged copies of a run folder to two commands."""
    source = damage.finished(kind, output / "runs")
    found = [*damage.outcomes(kind, source, output / "runs", count, seed)]
    wrong = [f"{one.name}: {', '.join(one.faults)}" for one in found if one.faults]
    failures += wrong
    return {
        f"damaged {kind}: commands that fail": {
            "value": len(wrong),
            "target": f"0 of {len(found)}",
            "met": not wrong,
        },
        f"damaged {kind}: commands that refuse it": {
            "value": sum(one.refused for one in found),
            "target": "all but those that do not read what is damaged",
            "met": None,
        },
    }


if __name__ == "__main__":
    main()
