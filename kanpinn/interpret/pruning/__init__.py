"""Which edges matter, and networks without those that do not."""
