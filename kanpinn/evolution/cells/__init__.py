"""Evolutions with cells in space: a window is a few least-squares problems in cells."""
