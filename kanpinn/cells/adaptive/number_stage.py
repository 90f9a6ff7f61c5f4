"""The state of a solve in cells for a problem with unknown numbers."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from kanpinn.cells.adaptive.cell_errors import BetterSolution
from kanpinn.cells.adaptive.cell_settings import CellSettings
from kanpinn.cells.adaptive.dissection_stage import DissectionStage
from kanpinn.cells.adaptive.solved_tree import SolvedTree
from kanpinn.cells.numbers.number_search import NumberSearch
from kanpinn.cells.system.cell_system import CellSolution, CellSystem
from kanpinn.cells.system.memory import no_comparison
from kanpinn.loss.residuals import Residuals
from kanpinn.optimizers.method import Step


class NumberStage(DissectionStage):
    """A solve in cells in which a search for the numbers comes between the solves on each tree.

    search: that for the numbers.
    """

    kept = (*DissectionStage.kept, "search_state")

    def __init__(self, settings: CellSettings, residuals: Residuals, seed: int) -> None:
        super().__init__(settings, residuals)
        self.search = NumberSearch(residuals, self.problem, seed)

    @property
    def search_state(self) -> dict[str, Any]:
        """The state of the search, for a checkpoint."""
        return self.search.state_dict()

    @search_state.setter
    def search_state(self, state: dict[str, Any]) -> None:
        self.search.load_state_dict(state)

    def _solution(self, system: CellSystem) -> CellSolution:
        least = 1e-12  # also for derivatives by the numbers
        return self.search.solved(system, self._present(), min(least, self.settings.accuracy))

    def _judged(self, solved: SolvedTree) -> Step:
        if self.search.settled or self.newton.stagnates:
            return super()._judged(solved)
        if self.search.moved:
            self.newton.recent = self.newton.recent[-1:]  # the numbers have changed the solution
        return Step(solved.loss, words=f"{solved.words}, {self.search.words}")

    def _better(self, solved: SolvedTree) -> BetterSolution:
        better = super()._better(solved)
        self.search.measure_errors(better.system, better.solution.coefficients)
        return better

    def _refined(
        self, solved: SolvedTree, errors: Tensor, finished: str = "", uncompared: str = ""
    ) -> Step:
        step = super()._refined(solved, errors, finished, uncompared)
        if step.finished is None:
            return step
        again = self.settings.corrects
        if self.newton.stagnates and not no_comparison(solved.system, again=again):
            self._better(solved)  # the solution has not been compared with it before
        return replace(step, finished=self.search.verdict(step.finished))

    def _split(self, chosen: Tensor) -> None:
        super()._split(chosen)
        self.search.on_new_tree()
