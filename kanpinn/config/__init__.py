"""Files of settings: TOML, its overrides, and the solve or the fit that they describe."""

from kanpinn.config.auto_job import AutoJob as AutoJob
from kanpinn.config.auto_job import chosen_sections as chosen_sections
from kanpinn.config.classes import blaming as blaming
from kanpinn.config.config import Config as Config
from kanpinn.config.document import document_schema as document_schema
from kanpinn.config.eigens import EigenJob as EigenJob
from kanpinn.config.fits import FitJob as FitJob
from kanpinn.config.job import Job as Job
from kanpinn.config.job import Result as Result
from kanpinn.config.solve_job import SolveJob as SolveJob
