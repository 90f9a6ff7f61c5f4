"""Commands of kanpinn in this process, and what a refusal is."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from kanpinn.cli import app


def kanpinn(*arguments: object, sets: tuple[str, ...] | list[str] = ()) -> Result:
    """What a command does; sets: pairs for --set."""
    pairs = [part for pair in sets for part in ("--set", pair)]
    return CliRunner().invoke(app, [*map(str, arguments), *pairs])


def solved(file: Path, text: str) -> tuple[Result, Path, dict[str, Any]]:
    """What solving a problem file with this text does, the run folder beside it, and its record."""
    file.write_text(text, encoding="utf-8")
    result = kanpinn("solve", file, "--output", file.parent / "results")
    (run,) = run_folders(file.parent / "results")
    return result, run, json.loads((run / "run.json").read_text(encoding="utf-8"))


def run_folders(output: Path = Path("results")) -> list[Path]:
    return sorted(output.glob("*/*"))


def refused(result: Result, *words: str) -> None:
    """The command ended with one error line that has the words, and left nothing behind."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, result.stderr
    for word in words:
        assert word in errors[0]
    assert "Traceback" not in result.output
    assert not Path("results").exists()
