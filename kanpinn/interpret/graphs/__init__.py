"""KANs as graphs whose edges are splines or formulas, and their fits to data."""
