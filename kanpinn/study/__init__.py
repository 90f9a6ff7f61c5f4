"""Studies: one problem solved over and over with other settings, as a table and as figures."""

from kanpinn.study.file import StudyFile as StudyFile
from kanpinn.study.sweep import sweep as sweep
from kanpinn.study.table import Study as Study
from kanpinn.study.tally import Tally as Tally
