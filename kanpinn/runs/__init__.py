"""From a TOML file to a run folder: settings, results, studies and their reports.

`config` reads settings, `results` writes and reads run folders, `study` runs many, `report` shows a
run or a study, `progress` follows a run, `library` has the problems that come with kanpinn. The
room imports nothing by itself: a list of folders waits for no figures.
"""
