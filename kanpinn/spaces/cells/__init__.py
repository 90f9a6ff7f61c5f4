"""Cells: polynomials of high degree in each box of a tree, coupled in one least-squares
problem.
"""
