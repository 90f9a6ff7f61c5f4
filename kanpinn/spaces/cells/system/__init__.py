"""The least-squares problem of all cells, and its solution by elimination."""
