"""Studies: one problem solved over and over with other settings, as a table of its runs.

`sweep` makes one, `StudyFile` reads its description, `Study` is its table, `Tally` how far it is.
"""

from kanpinn.runs.study.sweep import StudyFile as StudyFile
from kanpinn.runs.study.sweep import sweep as sweep
from kanpinn.runs.study.sweeping import Tally as Tally
from kanpinn.runs.study.table import Study as Study
