"""Curves in the plane: segments, arcs, and where they meet."""
