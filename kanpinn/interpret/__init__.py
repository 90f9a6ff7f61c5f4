"""Reading networks: which edges matter, which functions they are, and the formula they make."""
