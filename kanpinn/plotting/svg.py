"""A figure as an SVG that stands in an HTML page."""

import html
import io
import re

import matplotlib
from matplotlib.figure import Figure

from kanpinn.plotting.style import UNDATED, VECTOR

FOREIGN = re.compile(r'\s(xmlns(:\w+)?|version)="[^"]*"')  # what HTML knows itself


def inline_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """An <svg> with its title and description for those who do not see it.

    Letters are drawn, so no font is needed. Every id begins with `name`: a page can have several.
    """
    stream = io.BytesIO()
    with matplotlib.rc_context(VECTOR):
        figure.savefig(stream, format="svg", metadata=UNDATED["svg"])
    text = stream.getvalue().decode()
    text = text[text.index("<svg") :]
    head, rest = text.split(">", 1)
    rest = re.sub(r'\bid="', f'id="{name}-', rest)
    rest = re.sub(r'href="#', f'href="#{name}-', rest).replace("xlink:href", "href")
    rest = rest.replace("url(#", f"url(#{name}-").replace("*{", f"#{name} *{{")
    said = (
        f'<title id="{name}-title">{html.escape(title)}</title>'
        f'<desc id="{name}-text">{html.escape(description)}</desc>'
    )
    role = f'id="{name}" role="img" aria-labelledby="{name}-title {name}-text"'
    return f"{FOREIGN.sub('', head)} {role}>{said}{rest}"
