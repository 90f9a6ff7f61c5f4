"""Scores of a KAN's edges and units, and smaller KANs without the unimportant ones."""
