"""Files of settings: how TOML and its overrides are read, and the job that they describe."""

from kanpinn.runs.config.config import Config as Config
from kanpinn.runs.config.config import Job as Job
from kanpinn.runs.config.config import Result as Result
from kanpinn.runs.config.config import SolveJob as SolveJob
from kanpinn.runs.config.config import document_schema as document_schema
from kanpinn.runs.config.models import blaming as blaming
from kanpinn.runs.config.tables import chosen_sections as chosen_sections
from kanpinn.runs.config.tables import data_files as data_files
from kanpinn.runs.config.toml import load_toml as load_toml
