"""The cells of a domain in physical space: their parts, their sides and points in cells."""
