"""The JSON schemas of problem files and of fit files."""

from collections.abc import Mapping
from typing import Any

from kanpinn.geometry.sampling import SAMPLERS, Collocation
from kanpinn.runs.config.classes import EQUATIONS, NETWORKS, OPTIMIZERS, REFERENCES
from kanpinn.runs.config.domains import COMBINATIONS, SHAPES, TIME
from kanpinn.runs.config.forms import Form
from kanpinn.runs.config.reading import AUTO
from kanpinn.runs.config.schema import (
    BOUNDARY,
    ClassSection,
    EigenSection,
    FileSection,
    FitSection,
    FormulaSection,
    LossSection,
    RunSection,
)

DOMAIN = {"$ref": "#/$defs/domain"}
SINGLE = {name: target for name, target in NETWORKS.items() if name != "beside"}
OWN_CLASS = {"type": "string", "pattern": ":"}


def document_schema(kind: str = "problem") -> dict[str, Any]:
    """JSON schema (2020-12) of a "problem" file, or of a "fit" file."""
    solves = kind == "problem"
    own = _problem_sections() if solves else _fit_sections()
    stages = _variants(OPTIMIZERS, {})
    if solves:
        stages.append(_object({"type": {"const": AUTO}}, ["type"]))
    sections = own | {
        "optimizer": {"type": "array", "items": {"anyOf": stages}},
        "run": _table(Form.of(RunSection)),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"kanpinn {kind} file",
        **_object(sections, ["problem"] if solves else ["data", "network"]),
        "$defs": {"domain": {"anyOf": _domains()}},
    }


def _problem_sections() -> dict[str, Any]:
    points = _table(Form.of(Collocation))
    points["properties"]["sampler"]["enum"] = list(SAMPLERS)
    boundary = {"boundary": BOUNDARY.schema}
    trials = _object({"type": {"const": AUTO}, **boundary}, ["type"])
    return {
        "problem": {"anyOf": [_table(Form.of(ClassSection)), *_equations()]},
        "network": {"anyOf": [*_variants(SINGLE, boundary), _beside(boundary), trials]},
        "points": points,
        "loss": _table(Form.of(LossSection)),
        "eigen": _table(Form.of(EigenSection)),
        "reference": {"anyOf": _variants(REFERENCES, {})},
    }


def _beside(shared: dict[str, Any]) -> dict[str, Any]:
    """Networks side by side."""
    of = {"type": "array", "items": {"anyOf": _variants(SINGLE, {})}, "minItems": 2}
    return _object({"type": {"const": "beside"}, "of": of, **shared}, ["type", "of"])


def _fit_sections() -> dict[str, Any]:
    made = _table(Form.of(FormulaSection))
    made["properties"]["domain"] = DOMAIN
    return {
        "data": {"anyOf": [_table(Form.of(FileSection)), made]},
        "network": {"anyOf": _variants(SINGLE, {})},
        "fit": _table(Form.of(FitSection)),
    }


def _equations() -> list[dict[str, Any]]:
    """[problem] for each equation by its name."""
    tables = []
    for name, target in EQUATIONS.items():
        given = {"equation": {"const": name}, "domain": DOMAIN}
        table = _table(Form.of(target).without(("domain",)), given)
        tables.append(table | {"required": ["equation", "domain", *table["required"]]})
    return tables


def _domains() -> list[dict[str, Any]]:
    """A domain's table for each shape, and one for what is combined of others."""
    time = {"time": TIME.schema}
    shapes = [
        _table(Form.of(target), {"type": {"const": name}, **time})
        for name, target in SHAPES.items()
    ]
    of = {"type": "array", "items": DOMAIN, "minItems": 2}
    kinds = {"type": {"enum": list(COMBINATIONS)}, "of": of, **time}
    return [*shapes, _object(kinds, ["type", "of"])]


def _variants(known: Mapping[str, type], shared: dict[str, Any]) -> list[dict[str, Any]]:
    """One table for each name of `type`, and an open one for classes of one's own."""
    named = [
        _table(Form.of(target), {"type": {"const": name}, **shared})
        for name, target in known.items()
    ]
    own = {"type": "object", "properties": {"type": OWN_CLASS, **shared}, "required": ["type"]}
    return [*named, own]


def _table(form: Form, more: dict[str, Any] | None = None) -> dict[str, Any]:
    properties = (more or {}) | {key.name: key.schema for key in form.keys.values()}
    required = [name for name in ("type",) if name in properties]
    required += [key.name for key in form.keys.values() if key.required]
    return _object(properties, required, form.open)


def _object(
    properties: dict[str, Any], required: list[str], is_open: bool = False
) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": is_open,
    }
