"""From a TOML file to a run folder: settings, results, studies and their reports.

`config` reads settings, `results` writes and reads run folders, `study` makes many runs, `report`
writes HTML pages on a run or a study, `progress` follows a run, `library` has the problems that
come with kanpinn. This package imports none of them, so that commands which need no figures start
without Matplotlib.
"""
