"""Reports on runs and studies: error curves with observed orders, figures, HTML pages."""

from kanpinn.runs.report.pages import curves as curves
from kanpinn.runs.report.pages import draw_study as draw_study
from kanpinn.runs.report.pages import write_report as write_report
from kanpinn.runs.report.pages import write_run_report as write_run_report
