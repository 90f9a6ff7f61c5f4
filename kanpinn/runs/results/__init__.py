"""Run folders and the files in them: run.json, result.h5, checkpoint.pt, fields.vtkhdf, figures."""

from kanpinn.runs.results.folder import RunFolder as RunFolder
from kanpinn.runs.results.kinds import run_record as run_record
from kanpinn.runs.results.load import load as load
from kanpinn.runs.results.npz import to_npz as to_npz
from kanpinn.runs.results.reading import config_of as config_of
from kanpinn.runs.results.record import dump as dump
from kanpinn.runs.results.vtkhdf import to_vtkhdf as to_vtkhdf
