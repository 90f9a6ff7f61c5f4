"""Data to fit: tables of inputs and targets, read from files and split into parts."""

from kanpinn.data.data import Data as Data
from kanpinn.data.table import Table as Table
