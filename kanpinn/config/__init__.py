"""Problem files: a TOML file, its overrides, and the job that they describe."""

from kanpinn.config.classes import blaming as blaming
from kanpinn.config.config import Config as Config
from kanpinn.config.document import document_schema as document_schema
from kanpinn.config.job import Job as Job
