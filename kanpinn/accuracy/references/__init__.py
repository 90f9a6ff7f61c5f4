"""References, against which errors are measured: exact solutions, functions, data files."""

from kanpinn.accuracy.references.data_file import DataFile as DataFile
from kanpinn.accuracy.references.reference import FunctionReference as FunctionReference
from kanpinn.accuracy.references.reference import Recipe as Recipe
from kanpinn.accuracy.references.reference import Reference as Reference
from kanpinn.accuracy.references.reference import reference_of as reference_of
