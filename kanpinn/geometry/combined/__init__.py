"""Unions, differences and intersections in any dimension, exact for boxes and balls."""
