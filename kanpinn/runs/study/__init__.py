"""Studies: one problem solved over and over with other settings, as a table of its runs.

`sweep` runs a study, `StudyFile` reads its description, `Study` is its table of runs, and `Tally`
is its progress.
"""

from kanpinn.runs.study.sweep import StudyFile as StudyFile
from kanpinn.runs.study.sweep import Tally as Tally
from kanpinn.runs.study.sweep import sweep as sweep
from kanpinn.runs.study.table import Study as Study
