"""Unknown numbers that all cells share, from data."""
