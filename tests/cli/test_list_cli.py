"""`kanpinn list` shows what can be read, whatever else lies in the folders."""

import json
import os

import pytest
from typer.testing import CliRunner

from kanpinn._support.shown import plain_table
from kanpinn.cli import app


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_bad_folder_never_breaks_the_list(tmp_path):
    results, problems = tmp_path / "results", tmp_path / "problems"
    problems.mkdir()
    bad = {
        "nested": lambda file: file.write_text("[" * 100_000),
        "pipe": os.mkfifo,
        "endless": lambda file: file.symlink_to("/dev/zero"),
        "loop": lambda file: file.symlink_to(file),
        "escape\x1b[2J": lambda file: file.write_text(json.dumps({"status": "\x1b]0;title\x07"})),
    }
    for name, write in bad.items():
        for folder, file in ((f"p/{name}", "run.json"), (name, "study.json")):
            (results / folder).mkdir(parents=True, exist_ok=True)
            write(results / folder / file)
    os.mkfifo(problems / "pipe.toml")
    shown = CliRunner().invoke(app, ["list", str(problems), "--output", str(results)])
    assert shown.exit_code == 0
    assert shown.output.count("run.json cannot be read") >= 3
    assert "pipe.toml" in shown.output and "\x1b" not in shown.output


def test_control_characters_are_written_out_in_tables():
    assert plain_table([("a\x1b[31m", "b\x9b2J")], left=True) == "a\\x1b[31m  b\\x9b2J"
