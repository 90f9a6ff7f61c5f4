"""KANs as graphs of splines and formulas, refit to data."""
