"""What a run folder holds of a fit: scores, the data's frame, figures."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import torch

from kanpinn.runs.config import FitJob
from kanpinn.runs.results.contents import Contents, attempt
from kanpinn.runs.results.hdf5 import write_result
from kanpinn.solvers.fit import Fitted, Scores


class FitContents(Contents[FitJob, Fitted]):
    """The scores on each part of the data; in /network what scales inputs and outputs."""

    def record(self, result: Fitted) -> dict[str, Any]:
        """errors has the scores of each part, data its names and the rows of each part."""
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

    def write(
        self, result: Fitted, settings: Mapping[str, Any], folder: Path, figures: bool
    ) -> None:
        """The attributes mean and deviation of /network turn its outputs into targets."""
        train, output = result.data.train, result.surrogate.output

        def more(file: h5py.File) -> None:
            for name in ("names", "outputs", "classes"):
                file.attrs["inputs" if name == "names" else name] = list(getattr(train, name))
            for name in ("mean", "deviation"):
                if isinstance(part := getattr(output, name, None), torch.Tensor):
                    file["network"].attrs[name] = part.cpu().numpy()

        write_result(result, settings, folder / "result.h5", more)
        if figures:
            attempt("the figures", lambda: self.draw(result, folder / "figures"))

    def draw(self, result: Fitted, folder: Path) -> list[Path]:
        from kanpinn.plotting import draw_fit  # Matplotlib, which a study's workers never need

        return draw_fit(result, folder)

    def restore(self, job: FitJob, state: Mapping[str, Any], measured: bool) -> Fitted:
        return job.run(checkpoint=state)

    def saved(self, record: Mapping[str, Any]) -> dict[str, Any]:
        return {"scores": {part: Scores(**saved) for part, saved in record["errors"].items()}}
