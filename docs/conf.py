"""Sphinx settings of the site: `python -m sphinx -W docs docs/_build`, with the extra `[docs]`."""

import os
import sys
from pathlib import Path

import ziamath

import kanpinn

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "kanpinn"
author = "The kanpinn authors"
copyright = author
version = release = kanpinn.__version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
    "gallery",
    "reference",
    "mathml",
]
exclude_patterns = ["_build", "jupyter_execute", "_extensions", "**/.ipynb_checkpoints", "paper.md"]
nitpicky = False
smartquotes = False  # "spline" and --set are to be typed as they are shown

# Pages: MyST Markdown. Those with code cells run when the site is built, in a kernel.
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(Path(__file__).parent / "_build" / ".jupyter_cache")
nb_execution_raise_on_error = True
nb_execution_timeout = 120  # seconds for a cell
nb_merge_streams = True
os.environ.pop("MPLBACKEND", None)  # else kernels show no figures

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"

# Mathematics is MathML, which browsers show without a script or a network. They need a font with a
# table of mathematics, which many machines lack: the package ziamath has one.
html_math_renderer = "mathml"
MATH_FONTS = Path(ziamath.__file__).parent / "fonts"

html_theme = "pydata_sphinx_theme"
html_title = f"kanpinn {release}"
html_static_path = ["_static", str(MATH_FONTS)]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": True,
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # "Attributes:" is one list; properties have entries of their own

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
