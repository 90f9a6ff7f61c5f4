"""Run folders and the files in them: run.json, result.h5, checkpoint.pt, fields.vtkhdf, figures.

`RunFolder` writes a run folder and `load` reads it. The module `contents` writes and reads the
entries that differ between solves, eigenvalue problems and fits.
"""

from kanpinn.runs.results.folder import RunFolder as RunFolder
from kanpinn.runs.results.folder import load as load
from kanpinn.runs.results.folder import run_record as run_record
from kanpinn.runs.results.folder import to_npz as to_npz
from kanpinn.runs.results.folder import to_vtkhdf as to_vtkhdf
from kanpinn.runs.results.record import config_of as config_of
