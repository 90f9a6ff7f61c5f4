"""From a TOML file to a run folder: settings, results, studies and their reports.

`config` reads settings, `results` writes and reads run folders, `study` runs many, `report` shows a
study, `progress` follows a run. The room imports nothing by itself: a list of folders waits for no
figures.
"""
