"""Hard constraints: boundary, initial and periodic data that hold for every network."""
