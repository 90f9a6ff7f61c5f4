"""What is shown of a study: its curves and orders, its figures, its page."""

from kanpinn.report.curves import curves as curves
from kanpinn.report.figures import draw_study as draw_study
from kanpinn.report.page import write_report as write_report
