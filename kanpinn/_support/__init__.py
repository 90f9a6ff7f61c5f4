"""Support for all rooms: exceptions and statuses, atomic files, interrupts, processes and ranks.

The modules contain no mathematics. Other rooms import them directly: `errors` with the outcomes of
solves, `files`, `interrupts`, `memory`, `processes`, `distributed`, `shapes` for annotations,
`shown` for results in words, and `versions`. This file imports nothing, so that the command line
can use the room before torch is loaded.
"""
