"""What errors are measured against, and ways to get it where there is no exact solution."""

from kanpinn.references.data_file import DataFile as DataFile
from kanpinn.references.fem import FEM as FEM
from kanpinn.references.reference import Exact as Exact
from kanpinn.references.reference import Recipe as Recipe
from kanpinn.references.reference import Reference as Reference
from kanpinn.references.reference import reference_of as reference_of
