"""The JSON schema of problem files, for editors and other programs."""

from typing import Any

from kanpinn.config.forms import Form
from kanpinn.config.registry import NETWORKS, OPTIMIZERS
from kanpinn.config.sections import BOUNDARY, LossSection, ProblemSection, RunSection
from kanpinn.sampling import SAMPLERS, Collocation

OWN_CLASS = {"type": "string", "pattern": ":"}


def document_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of a problem file."""
    points = _table(Form.of(Collocation))
    points["properties"]["sampler"]["enum"] = list(SAMPLERS)
    networks = _variants(NETWORKS, {"boundary": BOUNDARY.schema})
    sections = {
        "problem": _table(Form.of(ProblemSection)),
        "network": {"anyOf": networks},
        "points": points,
        "loss": _table(Form.of(LossSection)),
        "optimizer": {"type": "array", "items": {"anyOf": _variants(OPTIMIZERS, {})}},
        "run": _table(Form.of(RunSection)),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kanpinn problem file",
        **_object(sections, ["problem", "network"]),
    }


def _variants(known: dict[str, type], shared: dict[str, Any]) -> list[dict[str, Any]]:
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
