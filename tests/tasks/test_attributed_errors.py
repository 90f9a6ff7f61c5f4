"""Which cells cause an error that is shown elsewhere."""

import torch

from kanpinn.tasks.cell_errors import attributed


def test_an_error_below_its_indicator_is_that_of_its_own_cell():
    shown = torch.tensor([1.0, 4.0, 9.0]).double()
    assert torch.equal(attributed(shown, 2 * shown), shown)


def test_errors_from_elsewhere_go_to_the_cells_that_cause_errors():
    """The small cell has a large indicator and a small error; the other two pollute the rest."""
    shown = torch.tensor([1e-6, 4e-4, 2e-4, 1.0, 1.0]).double()
    indicated = torch.tensor([1e-2, 2e-4, 1e-4, 1e-9, 1e-9]).double()
    found = attributed(shown, indicated)
    torch.testing.assert_close(found.sum(), shown.sum())
    assert found.argsort(descending=True)[:2].tolist() == [1, 2]
    assert float(found[0]) < 0.01 * float(found.sum())
    torch.testing.assert_close(found[1], 2 * found[2])
