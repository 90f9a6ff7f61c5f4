"""Domains in the plane, by the curves around them: shapes, levels, rules, combinations."""
