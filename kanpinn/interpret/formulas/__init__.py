"""From a graph of formulas to an expression with exact constants."""
