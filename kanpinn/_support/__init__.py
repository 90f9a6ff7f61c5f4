"""Support for all rooms: exceptions, atomic files, interrupts, processes and ranks, wording.

Nothing here knows of mathematics. Other rooms import the modules themselves: `errors`, `files`,
`interrupts`, `processes`, `distributed`, `wording`, and `shapes` for annotations. The room imports
nothing by itself, so that the command line can use it before torch is loaded.
"""
