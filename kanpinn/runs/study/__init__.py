"""Studies: one problem solved over and over with other settings, as a table and as figures."""

from kanpinn.runs.study.file import StudyFile as StudyFile
from kanpinn.runs.study.sweep import sweep as sweep
from kanpinn.runs.study.table import Study as Study
from kanpinn.runs.study.tally import Tally as Tally
