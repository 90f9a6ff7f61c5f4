"""The sections that are the same for every problem, and the JSON schema of a problem file."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from kanpinn.config.classes import NETWORKS, OPTIMIZERS
from kanpinn.config.forms import Form, Key
from kanpinn.sampling import SAMPLERS, Collocation

TYPE = Key("type", str)  # of [network] and [[optimizer]]
BOUNDARY = Key("boundary", Literal["exact", "penalty"], "exact")  # of [network]
OWN_CLASS = {"type": "string", "pattern": ":"}
Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class ProblemSection:
    """[problem]: the class, and the arguments of its constructor."""

    class_: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LossSection:
    """[loss]: the weights of the mean squared residuals."""

    interior: Weight = 1.0
    boundary: Weight = 1.0


@dataclass(frozen=True)
class RunSection:
    """[run]: what holds for the whole run; `threads` (None: all cores) is for the command line."""

    seed: Annotated[int, Field(ge=0, le=2**53)] = 0
    dtype: Literal["float64", "float32"] = "float64"
    device: str = "cpu"
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None


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
