"""Evolutions with cells in space: each window of time is a few least-squares problems in cells."""
