"""Data to fit: tables of inputs and targets, their files, their parts."""

from kanpinn.datasets.data import Data as Data
from kanpinn.datasets.table import Table as Table
