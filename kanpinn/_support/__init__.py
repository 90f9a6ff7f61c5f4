"""Support for all rooms: exceptions, atomic files, interrupts, processes and ranks, words.

The modules contain no mathematics. Other rooms import them directly: `errors`, `files`,
`pace`, `interrupts`, `processes`, `distributed`, `wording`, `status` for the words of statuses, and
`shapes` for annotations. This file imports nothing, so that the command line can use the room
before torch is loaded.
"""
