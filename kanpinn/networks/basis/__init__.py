"""Bases of the edge functions: B-splines, and piecewise polynomials that evaluate them."""
