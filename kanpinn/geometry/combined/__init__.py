"""Unions, differences and intersections in any dimension, with Gauss rules for boxes and balls."""
