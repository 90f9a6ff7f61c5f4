"""Data to fit: tables of inputs and targets, read from files and split into parts."""

from kanpinn.data.table import Data as Data
from kanpinn.data.table import Table as Table
