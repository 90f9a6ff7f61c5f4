"""The contents of a fit's run folder: scores, names and sizes of the data, figures."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import torch

from kanpinn.runs.config import FitJob
from kanpinn.runs.results.contents import Contents
from kanpinn.solvers.fit import Fitted, Scores
from kanpinn.solvers.regular_grid import GridFields


class FitContents(Contents[FitJob, Fitted]):
    """Scores on each part of the data in run.json; scaling of inputs and outputs in /network."""

    def record(self, result: Fitted) -> dict[str, Any]:
        """Return the entries of run.json for a fit.

        errors: the scores of each part of the data. data: names of inputs, targets and classes, and
        the number of rows of each part.
        """
        train = result.data.train
        return {
            "errors": {part: asdict(scores) for part, scores in result.scores.items()},
            "data": {
                "inputs": list(train.names),
                "targets": list(train.outputs),
                "classes": list(train.classes),
                "rows": {part: len(table) for part, table in result.data.parts.items()},
            },
        }

    def grid(self, result: Fitted) -> None:
        """Return None: a fit has no fields on a grid."""

    def describe_in(self, file: h5py.File, result: Fitted) -> None:
        """Write the names of the data, and the mean and deviation that unscale the outputs."""
        train, output = result.data.train, result.surrogate.output
        file.attrs["inputs"] = list(train.names)
        file.attrs["outputs"] = list(train.outputs)
        file.attrs["classes"] = list(train.classes)
        if output is not None:  # None for classes, whose logits are not scaled
            for name in ("mean", "deviation"):
                file["network"].attrs[name] = getattr(output, name).cpu().numpy()

    def arrays(self, result: Fitted) -> dict[str, Any]:
        arrays: dict[str, Any] = {}
        for part, table in result.data.parts.items():
            arrays[f"{part}_inputs"] = table.inputs.numpy()
            arrays[f"{part}_targets"] = table.targets.numpy()
            outputs = torch.cat([result(rows) for rows in table.inputs.split(2**13)])
            arrays[f"{part}_outputs"] = outputs.cpu().numpy()
        return arrays

    def draw(self, result: Fitted, folder: Path, fields: GridFields | None = None) -> list[Path]:
        from kanpinn.plotting import draw_fit  # Matplotlib, which a study's workers never need

        return draw_fit(result, folder)

    def restore(self, job: FitJob, state: Mapping[str, Any], measured: bool) -> Fitted:
        return job.run(checkpoint=state)

    def saved(self, record: Mapping[str, Any]) -> dict[str, Any]:
        return {"scores": {part: Scores(**saved) for part, saved in record["errors"].items()}}
