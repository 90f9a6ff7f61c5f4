"""The solve in cells: Newton's method, the estimated error, and the cells that are halved."""
