"""Conversion of a graph of formulas to sympy expressions with exact constants."""
