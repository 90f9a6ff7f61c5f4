"""What cannot fit into memory is refused by a forecast, before it is taken."""

import pytest

import kanpinn as kp

PLATE = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1)), source="1", boundary="0")


@pytest.mark.parametrize(
    ("network", "settings", "words"),
    [
        (
            kp.KAN(hidden=[8]),
            {"points": kp.Collocation(10**12, 100)},
            r"1000000000000 \+ 100 points: needs at least 64 TB of memory, and .* are free",
        ),
        (kp.KAN(hidden=[10**6]), {}, r"Least Squares for \d+ coefficients: needs at least .* PB"),
    ],
)
def test_points_and_coefficients_that_cannot_fit_are_refused(network, settings, words):
    with pytest.raises(kp.InputError, match=words):
        kp.solve(PLATE, network, **settings)
