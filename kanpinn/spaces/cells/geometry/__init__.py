"""The cells of a domain in physical space: their parts, sides and the points in them."""
