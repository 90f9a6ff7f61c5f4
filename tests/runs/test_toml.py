"""Reading TOML: whatever a file holds, it is read, or refused in a sentence."""

import sys
from pathlib import Path

import pytest

from kanpinn._support.errors import InputError
from kanpinn.runs.config import Config, load_toml
from kanpinn.runs.config.toml import Override

DEEP = "nested more than 32 deep"
HOSTILE = {
    "nested lists": ("x = " + "[" * 5000 + "]" * 5000, DEEP),
    "nested tables": ("x = " + "{a = " * 3000 + "1" + "}" * 3000, DEEP),
    "a long dotted key": (".".join(["a"] * 100_000) + " = 1", DEEP),
    "a long header": ("[" + ".".join(['"a b"'] * 40) + "]", DEEP),
    "dotted keys in tables": ("[a.a.a.a.a.a.a.a.a.a.a]\n" + "b = {" * 30 + "}" * 30, DEEP),
    "5000 digits": ("x = " + "9" * 5000, "4300 digits"),
    "an open list": ("x = [1, 2", "not valid TOML"),
    "a control character": ("x = \0", "not valid TOML"),
    "a byte order mark": ("\ufeffx = 1", "not valid TOML"),
    "too much": ("# " + "x" * 2**20, "more than 1048576 bytes"),
}


@pytest.mark.parametrize(("text", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_text_that_is_no_problem_file_is_refused_in_a_sentence(text, reason, tmp_path):
    path = tmp_path / "hostile.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=reason) as refused:
        load_toml(path)
    assert str(refused.value).startswith(f"{path}: ") and len(str(refused.value)) < 400


def test_what_is_nested_as_deeply_as_allowed_is_read(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text("x = " + "[" * 31 + "]" * 31 + "\r\n# " + "word " * 5000 + "\r\n")
    found, depth = load_toml(path)["x"], 1
    while found:
        found, depth = found[0], depth + 1
    assert depth == 31


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such device")
def test_a_device_in_place_of_a_file_is_not_read():
    with pytest.raises(InputError, match="/dev/zero is no regular file"):
        load_toml(Path("/dev/zero"))


@pytest.mark.parametrize(
    "pair", [".".join(["a"] * 100) + "=1", "network.width=" + "[" * 2000, "run.seed=" + "9" * 5000]
)
def test_hostile_overrides_are_refused_in_a_sentence(pair):
    with pytest.raises(InputError):
        Override.parse(pair)


def test_only_the_first_faults_of_many_are_told():
    data = {"problem": {"class": "a.py:A"}, "run": {f"key_{k}": 1 for k in range(1000)}}
    with pytest.raises(InputError, match="there are 980 faults more") as refused:
        Config.from_dict(data)
    assert len(str(refused.value).splitlines()) == 21


def test_sizes_that_take_minutes_to_prepare_are_refused():
    def file(**network):
        return Config.from_dict(
            {
                "problem": {"equation": "poisson", "domain": {"type": "box", "x": [0, 1]}}
                | {"source": "1", "boundary": "0"},
                "network": {"type": "kan", "width": [1, 4, 1], "degree": 3, "grid": 4} | network,
                "points": {"interior": 50, "boundary": 2},
            }
        )

    file().build()
    with pytest.raises(InputError, match=r"network.width = .*: expected at most 50 layers, got 61"):
        file(width=[1, *[2] * 60, 1]).build()
    with pytest.raises(InputError, match=r"network.grid = 20000: expected at most 10000 intervals"):
        file(grid=20000).build()
    with pytest.raises(InputError, match=r"network.width must list .* got \[\]"):
        file(width=[]).build()


SQUARE = {"type": "box", "x": [0, 1], "y": [0, 1]}
PROBLEMS = Path(__file__).parents[2] / "problems"
STATED = {
    "solve": {"problem": {"equation": "poisson", "domain": SQUARE, "exact": "x*y"}},
    "own inputs": {"problem": {"class": f"{PROBLEMS / 'lshape.py'}:LShape"}},
    "eigen": {"problem": {"class": f"{PROBLEMS / 'drum.py'}:Drum"}, "eigen": {"count": 2}},
    "fit": {"data": {"formula": "x*y", "domain": SQUARE, "rows": 20}},
}


@pytest.mark.parametrize("stated", STATED.values(), ids=STATED.keys())
@pytest.mark.parametrize("width", [[20_000, 64, 1], [2, 64, 20_000]], ids=["inputs", "outputs"])
def test_a_network_that_does_not_fit_is_refused_before_it_is_built(stated, width, monkeypatch):
    monkeypatch.setattr("kanpinn.networks.kan.KANLayer", None)  # no layer can be made
    one = {"type": "kan", "width": width, "degree": 5, "grid": 8}
    whole = Config.from_dict(stated | {"network": one})
    parts = Config.from_dict(stated | {"network": {"type": "beside", "of": [one, one]}})
    for config in (whole, parts):
        with pytest.raises(InputError, match=r"network\.width must (start with 2|end with 1) "):
            config.build()
