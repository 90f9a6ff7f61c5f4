"""Support for all packages of kanpinn: exceptions, files, interrupts, processes and ranks.

The modules contain no mathematics, and are imported directly: `errors` with the outcomes of solves,
`files`, `interrupts`, `memory`, `processes`, `distributed`, `shapes` for annotations of tensors,
`shown` for results in notebooks, and `versions`. This file imports nothing, so that the command
line can use the modules before torch is loaded.
"""
