"""Hard constraints: boundary, initial and periodic data that hold for every network.

`boundary_data` chooses what is built in; `box` builds data into boxes, `distance` into other
domains by an approximate distance function with a `lifting`; `initial_data` is for windows of time,
`periodic_inputs` for periodic conditions.
"""
