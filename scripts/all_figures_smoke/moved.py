"""A tiny script whose committed figures differ: a verdict, a number, a text and a time."""

import argparse
import json
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--output", type=Path)
output = parser.parse_args().output
figures = {
    "error, seed 0": {"value": 1e-3, "target": "<= 1e-4", "met": False},
    "orders": {"value": [4.0, 2.0], "target": "told", "met": None},
    "shares": {"value": {"volume": 0.5, "symmetry": "D4"}, "target": "told", "met": None},
    "seconds of a fit": {"value": 2.0, "target": "told", "met": None},
    "error at rounding": {"value": 3e-15, "target": "<= 1e-12", "met": True},
    "a figure | more": {"value": None, "target": "told", "met": None},
}
(output / "moved.json").write_text(json.dumps(figures), encoding="utf-8")
