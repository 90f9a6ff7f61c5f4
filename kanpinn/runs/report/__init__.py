"""The report of a study: its error curves with observed orders, its figures, its HTML page."""

from kanpinn.runs.report.curves import curves as curves
from kanpinn.runs.report.figures import draw_study as draw_study
from kanpinn.runs.report.page import write_report as write_report
