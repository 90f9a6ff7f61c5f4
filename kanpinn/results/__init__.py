"""Run folders and the files in them: run.json, result.h5, checkpoint.pt, fields.vtkhdf, figures."""

from kanpinn.results.folder import RunFolder as RunFolder
from kanpinn.results.kinds import run_record as run_record
from kanpinn.results.load import load as load
from kanpinn.results.npz import to_npz as to_npz
from kanpinn.results.reading import config_of as config_of
from kanpinn.results.record import dump as dump
from kanpinn.results.vtkhdf import to_vtkhdf as to_vtkhdf
