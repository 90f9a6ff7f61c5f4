"""Functions of one variable, and fits of them to samples of an edge."""
