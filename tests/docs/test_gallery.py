"""The pages of the gallery: one for each problem, with overrides that work and kept pictures."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "docs" / "_extensions"))

from gallery_parts import entries, page

from kanpinn.runs.config import Config
from kanpinn.runs.library import library

FOUND = entries.entries()


def test_every_problem_of_the_library_has_a_page_and_a_card() -> None:
    assert [one.name for one in FOUND] == [one.name for one in library()]
    assert {one.group for one in FOUND} == {*entries.GROUPS}
    overview = page.overview(FOUND)
    for one in FOUND:
        assert f":link: generated/{one.name}\n" in overview
        text = page.page(one)
        assert one.path.read_text(encoding="utf-8").strip() in text
        if one.record is None:
            assert "No run of this problem is kept" in text


@pytest.mark.parametrize("one", FOUND, ids=lambda one: one.name)
def test_overrides_that_a_page_shows_are_accepted(one: entries.Entry) -> None:
    shown = page.sets(one)
    assert shown
    for pair, _ in shown:
        Config.read(one.path, [pair]).build()


def test_pictures_of_kept_runs_have_alternative_texts() -> None:
    for one in FOUND:
        if one.record is not None:
            folder = entries.KEPT / one.name
            assert all((folder / name).is_file() for name in (*one.record["pictures"], "thumb.png"))
            text = page.page(one)
            assert text.count("```{figure}") == text.count("\n:alt: ")
            assert text.count("```{figure}") == len(one.record["pictures"])
