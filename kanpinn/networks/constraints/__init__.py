"""Hard constraints: boundary, initial and periodic data that hold for every network.

`boundary_data` chooses which data are built into the surrogate. `box` builds data in on boxes, and
`distance` on other domains, with an approximate distance function and a `lifting`.
`periodic_inputs` serves periodic conditions.
"""
