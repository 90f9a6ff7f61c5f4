"""What a release needs: one version everywhere, sound files, and a first command that works.

What: the version in pyproject.toml, CITATION.cff and CHANGELOG.md is compared; sdist and wheel are
built; the wheel's files are compared with the package and with problems/; `twine check` reads the
metadata; and the wheel is installed and used from another folder: the list of its problems, a copy
of one, its solve, its report, and `kanpinn doctor`. A step whose tools are missing is left out, and
says so.

--network: into an empty environment, with all dependencies from the package index. Without it the
wheel is installed beside the packages of this environment.

How long: a minute, several with --network; --smoke: half a minute, without `doctor`. Writes to
--output: dist/, log.txt and release_check.json. The exit code is 1 if a step has failed.
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common import script
from common.script import REPOSITORY

NAME = Path(__file__).stem
LEFT_OUT = "left out: "


@dataclass(eq=False)
class Release:
    """A release: what is built so far, and the Python in which the wheel is installed."""

    output: Path
    smoke: bool
    network: bool
    built: list[Path] = field(default_factory=list)
    python: Path | None = None

    @property
    def wheel(self) -> Path | None:
        """The wheel, None if none was built."""
        return next((path for path in self.built if path.suffix == ".whl"), None)


def main() -> None:
    chosen = script.options(
        NAME, __doc__, network=dict(action="store_true", help="install dependencies anew")
    )
    figures = checked(chosen)
    script.write_verdicts(chosen.output / f"{NAME}.json", figures)
    for name, figure in figures.items():
        print(f"{name}: {figure['value']}")
    sys.exit(any(figure["met"] is False for figure in figures.values()))


def checked(chosen: argparse.Namespace) -> dict[str, script.Verdict]:
    """Return a figure for each step: "done", what is wrong, or why it was left out."""
    output = chosen.output.absolute()
    release = Release(output, chosen.smoke, chosen.network)
    steps = (versions, build, contents, metadata, installed, first_commands)
    figures: dict[str, script.Verdict] = {}
    for step in steps:
        said = step(release) or "done"
        name = (step.__doc__ or "").partition("\n")[0].rstrip(".")
        met = None if said.startswith(LEFT_OUT) else said == "done"
        figures[name] = script.verdict(said, "done", met)
    return figures


def versions(release: Release) -> str:
    """The version is the same in all files.

    Unreleased changes have no heading of their own yet, which is told and is no failure.
    """
    project = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    cited = re.search(r"^version: (\S+)$", text("CITATION.cff"), re.MULTILINE)
    if cited is None or cited[1] != project:
        return f"pyproject.toml has {project}, CITATION.cff {cited and cited[1]}"
    if f"## [{project}]" not in text("CHANGELOG.md"):
        return f"{LEFT_OUT}CHANGELOG.md has no heading for {project} yet"
    return ""


def text(name: str) -> str:
    """Return the text of a file at the top level."""
    return (REPOSITORY / name).read_text(encoding="utf-8")


def build(release: Release) -> str:
    """Sdist and wheel are built."""
    folder = release.output / "dist"
    command = ["-m", "build", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    wrong = python(release, command, needs=("build", "hatchling"))
    release.built = sorted(folder.glob("*"))
    return wrong


def contents(release: Release) -> str:
    """The wheel has the whole package and the library of problems, and nothing else."""
    if release.wheel is None:
        return f"{LEFT_OUT}there is no wheel"
    with zipfile.ZipFile(release.wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    kinds = {"kanpinn": "kanpinn", "problems": "kanpinn/library"}
    expected = {
        f"{place}/{path.relative_to(REPOSITORY / folder).as_posix()}"
        for folder, place in kinds.items()
        for path in (REPOSITORY / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    lacking, further = sorted(expected - found), sorted(found - expected)
    return f"lacks {lacking[:5]}, has besides {further[:5]}" if lacking or further else ""


def metadata(release: Release) -> str:
    """The package index accepts the metadata."""
    files = [str(path) for path in release.built]
    if not files:
        return f"{LEFT_OUT}there are no files"
    return python(release, ["-m", "twine", "check", "--strict", *files], needs=("twine",))


def installed(release: Release) -> str:
    """The wheel can be installed."""
    if release.wheel is None:
        return f"{LEFT_OUT}there is no wheel"
    place = release.output / "environment"
    if not release.network:  # a folder in front of the packages of this environment
        release.python = Path(sys.executable)
        options_of_pip = ["--no-deps", "--upgrade", "--target", str(place)]
    else:
        venv.create(place, with_pip=True, clear=True)
        release.python = place / "bin" / "python"
        options_of_pip = []
    command = ["-m", "pip", "install", "--quiet", *options_of_pip, str(release.wheel)]
    return python(release, command, release.python)


def first_commands(release: Release) -> str:
    """The first commands work from another folder."""
    if release.python is None:
        return f"{LEFT_OUT}the wheel is not installed"
    elsewhere = release.output / "elsewhere"
    for path in elsewhere.glob("mine.*"):
        path.unlink()  # of an earlier call
    elsewhere.mkdir(exist_ok=True)
    commands = [["new", "--list"], ["new", "mine", "--from", "poisson5d"], ["solve", "--quiet"]]
    commands += [] if release.smoke else [["doctor"]]
    for arguments in commands:
        command = ["-m", "kanpinn", *arguments]
        if wrong := python(release, command, release.python, elsewhere):
            return f"kanpinn {' '.join(arguments)}: {wrong}"
    run = max((elsewhere / "results" / "mine").iterdir())
    return python(release, ["-m", "kanpinn", "report", str(run)], release.python, elsewhere)


def python(
    release: Release,
    arguments: Sequence[str],
    where: Path | None = None,
    folder: Path = REPOSITORY,
    needs: Sequence[str] = (),
) -> str:
    """Run Python with arguments in a folder, and log what it prints.

    Returns:
        "", its last line if it fails, or that it is left out for packages that are not installed.
    """
    absent = [name for name in needs if importlib.util.find_spec(name) is None]
    if absent:
        return f"{LEFT_OUT}not installed: {', '.join(absent)}"
    environment = dict(os.environ)
    if where is not None:  # the wheel's folder before the checkout, or an environment of its own
        before = environment.pop("PYTHONPATH", "")
        if not release.network:
            places = (str(release.output / "environment"), before)
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, places))
    command = [str(where or sys.executable), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    with (release.output / "log.txt").open("a", encoding="utf-8") as log:
        log.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\n")
    lines = f"{done.stdout}{done.stderr}".strip().splitlines() or ["no output"]
    return lines[-1] if done.returncode else ""


if __name__ == "__main__":
    main()
