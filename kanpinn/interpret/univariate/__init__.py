"""The library of functions of one variable, and their fits to samples of an edge."""
