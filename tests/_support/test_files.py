"""Files are replaced as a whole or not at all, and are on the disk before they have their name."""

import os
import resource
from pathlib import Path

import pytest

from kanpinn._support.files import numbered, remove_temporaries, replacing, write_text


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "text.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old" and [*tmp_path.iterdir()] == [path]
    write_text(path, "new")
    assert path.read_text() == "new" and [*tmp_path.iterdir()] == [path]


def test_contents_are_on_the_disk_before_the_name_and_then_the_name_is(tmp_path, monkeypatch):
    done, replace = [], os.replace

    def synchronised(descriptor: int) -> None:
        done.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))

    def renamed(old: Path, new: Path) -> None:
        done.append("renamed")
        replace(old, new)

    if not Path("/proc/self/fd").exists():
        pytest.skip("the names of open files are not known here")
    monkeypatch.setattr(os, "fsync", synchronised)
    monkeypatch.setattr(os, "replace", renamed)
    with replacing(tmp_path / "text.txt") as temporary:
        temporary.write_text("text")
    assert done == [temporary, "renamed", tmp_path]


def test_two_writers_of_one_file_do_not_write_to_one_temporary(tmp_path):
    path = tmp_path / "text.txt"
    with replacing(path) as one, replacing(path) as other:
        assert one != other
        one.write_text("first")
        other.write_text("second")
    assert path.read_text() == "first"  # the outer block ends last


def test_a_folder_that_vanishes_is_told_by_its_path(tmp_path):
    path = tmp_path / "gone" / "text.txt"
    path.parent.mkdir()
    with pytest.raises(FileNotFoundError, match="gone"), replacing(path) as temporary:
        temporary.unlink()
        path.parent.rmdir()


def test_a_file_that_does_not_fit_on_the_disk_is_told_by_its_path(tmp_path):
    path = tmp_path / "text.txt"
    write_text(path, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="large") as failed:
            write_text(path, "new" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert failed.value.filename == str(path)
    assert path.read_text() == "old" and [*tmp_path.iterdir()] == [path]


def test_temporaries_of_killed_processes_are_removed(tmp_path):
    (tmp_path / ".run-0123456789ab.tmp.json").touch()
    (tmp_path / "run.json").touch()
    remove_temporaries(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_numbered_names_begin_with_the_name_itself():
    found = numbered(Path("runs/a.b"))
    assert [next(found).as_posix() for _ in range(3)] == ["runs/a.b", "runs/a.b-2", "runs/a.b-3"]
