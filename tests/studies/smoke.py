"""Smoke runs of the scripts, each once a session, and the functions that they enter.

The runs are those of a copy of scripts/ in which every function notes its name when it is entered:
so what child processes enter is known too, however they were started, at hardly any cost.
"""

import ast
import gc
import os
import resource
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import context, get_context
from pathlib import Path

import filelock
from forks import CONTEXT, Forked

import kanpinn.plotting

ROOT = Path(__file__).parents[2]
CHECKERS = set((ROOT / "scripts").glob("check_*.py"))  # tests of certificates run them
SCRIPTS = sorted({*(ROOT / "scripts").glob("*.py")} - CHECKERS)
SECONDS = 60  # of the processor, for each script
ENTERED = "entered.txt"
RECORDER = "entered_functions"
RECORDER_TEXT = """
_known = set()


def note(name):
    if name not in _known:
        _known.add(name)
        with open({path!r}, "a", encoding="utf-8") as stream:
            stream.write(name + "\\n")
"""


@dataclass(frozen=True)
class Run:
    """A finished smoke run: its exit code, what it printed, and the folder that it wrote to.

    The exit code is negative where the process was killed, which took more than `SECONDS` of the
    processor, or twenty times as long by the clock.
    """

    code: int
    log: str
    output: Path


def run(script: str, shared: Path) -> Run:
    """The smoke run of scripts/`script`.py; the first process that asks for it makes it.

    shared: a folder for all processes of a test session.
    """
    folder = shared / script
    with filelock.FileLock(shared / "copy.lock"):
        if not (shared / ENTERED).exists():
            _copy(shared / "copy", shared / ENTERED)
            (shared / ENTERED).touch()
    with filelock.FileLock(shared / f"{script}.lock"):
        if not (folder / "code").exists():
            folder.mkdir()
            code = _code_of_run(shared / "copy" / "scripts" / f"{script}.py", folder)
            (folder / "code").write_text(str(code))
    code, log = ((folder / name).read_text(encoding="utf-8") for name in ("code", "log"))
    return Run(int(code), log, folder / "output")


def entered(shared: Path) -> set[str]:
    """The functions that all runs so far have entered, "FILE QUALIFIED_NAME"."""
    return set((shared / ENTERED).read_text(encoding="utf-8").splitlines())


def functions(path: Path) -> list[str]:
    """The functions and methods that a file of scripts/ defines, "FILE QUALIFIED_NAME"."""
    name = path.relative_to(ROOT / "scripts").as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [f"{name} {qualified}" for qualified, _ in _defined(tree)]


def _defined(node: ast.AST, above: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    for child in ast.iter_child_nodes(node):
        inner = above
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inner = f"{above}.{child.name}".lstrip(".")
        if isinstance(child, ast.FunctionDef):
            yield inner, child
        yield from _defined(child, inner)


def _copy(folder: Path, entered: Path) -> None:
    """The repository with links to its other folders, and scripts that note what they enter."""
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.name != "scripts":
            (folder / path.name).symlink_to(path)
    scripts = folder / "scripts"
    shutil.copytree(ROOT / "scripts", scripts, ignore=shutil.ignore_patterns("__pycache__"))
    for path in sorted(scripts.rglob("*.py")):
        recorded = _recorded(path, path.relative_to(scripts).as_posix())
        if recorded != path.read_text(encoding="utf-8"):
            path.write_text(recorded, encoding="utf-8")
            # Beside every file: each may be run as a script.
            path.with_name(f"{RECORDER}.py").write_text(
                RECORDER_TEXT.format(path=str(entered)), encoding="utf-8"
            )


def _recorded(path: Path, name: str) -> str:
    """A file's text with a note at the beginning of every function, after its docstring."""
    text = path.read_text(encoding="utf-8")
    lines = text.encode().splitlines(keepends=True)  # columns of syntax trees count bytes
    edits = []
    for qualified, function in _defined(ast.parse(text)):
        note = f'__import__("{RECORDER}").note("{name} {qualified}")'.encode()
        first = function.body[0]
        if ast.get_docstring(function) is not None:
            edits.append((first.end_lineno, first.end_col_offset, b"; " + note))
        elif hasattr(first, "body") or isinstance(first, ast.Match):
            # Nothing may stand on the line of a compound statement.
            decorators = [one.lineno for one in getattr(first, "decorator_list", [])]
            indent = b" " * first.col_offset
            edits.append((min([first.lineno, *decorators]), 0, indent + note + b"\n"))
        else:
            edits.append((first.lineno, first.col_offset, note + b"; "))
    for row, column, note in sorted(edits, reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:column] + note + line[column:]
    return b"".join(lines).decode()


def _code_of_run(script: Path, folder: Path) -> int:
    process = CONTEXT.Process(target=_main, args=(str(script), str(folder)))
    process.start()
    process.join(20 * SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode


def _main(script: str, folder: str) -> None:
    """What `python script --smoke --output FOLDER/output` does in that folder."""
    gc.freeze()  # searches for garbage need not visit, and copy, what the server has imported
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    os.chdir(folder)
    descriptor = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = [script, "--smoke", "--output", str(Path(folder, "output"))]
    tests = Path(__file__).parents[1]
    apart = [path for path in sys.path if not Path(path).is_relative_to(tests)]
    sys.path[:] = [str(Path(script).parent), *apart]
    subprocess.Popen = Forked  # for the processes that scripts start
    context._concrete_contexts["forkserver"] = get_context("fork")  # none imports torch anew
    kanpinn.plotting.draw_figures = lambda *_: []  # of a run's folder: no script reads them
    runpy.run_path(script, run_name="__main__")
