"""Balls in any dimension, and solids in space by the triangles of their surfaces."""
