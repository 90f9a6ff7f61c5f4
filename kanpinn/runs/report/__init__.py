"""What is shown of a study: its curves and orders, its figures, its page."""

from kanpinn.runs.report.curves import curves as curves
from kanpinn.runs.report.figures import draw_study as draw_study
from kanpinn.runs.report.page import write_report as write_report
