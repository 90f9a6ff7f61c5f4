"""Data to fit: tables of inputs and targets, their files, their parts."""

from kanpinn.data.data import Data as Data
from kanpinn.data.table import Table as Table
