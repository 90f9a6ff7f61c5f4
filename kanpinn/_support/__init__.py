"""Support for all rooms: exceptions, atomic files, interrupts, processes and ranks, wording.

The modules contain no mathematics. Other rooms import them directly: `errors`, `files`,
`interrupts`, `processes`, `distributed`, `wording`, and `shapes` for annotations. This file imports
nothing, so that the command line can use the room before torch is loaded.
"""
