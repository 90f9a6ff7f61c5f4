"""Studies: one problem solved many times with other settings.

`sweep` runs a study, `StudyFile` is the file that describes a study, `Study` is the table of its
runs, and `Tally` is its progress.
"""

from kanpinn.runs.study.sweep import StudyFile as StudyFile
from kanpinn.runs.study.sweep import Tally as Tally
from kanpinn.runs.study.sweep import sweep as sweep
from kanpinn.runs.study.table import Study as Study
