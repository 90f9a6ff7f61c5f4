"""A renderer of mathematics for Sphinx: LaTeX becomes MathML, with the LaTeX as its description."""

from html import escape
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx


def mathml(latex: str, display: str) -> str:
    """Return a formula as MathML; display is "inline" or "block"."""
    plain = latex.replace(r"\lVert", r"\|").replace(r"\rVert", r"\|")  # browsers stretch \lVert
    tree = convert(plain, display=display)
    return tree.replace("<math ", f'<math aria-label="{escape(latex.strip(), quote=True)}" ', 1)


def visit_inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(writer: Any, node: nodes.math_block) -> None:
    label = node.get("label")
    target = f' id="equation-{escape(str(label))}"' if label else ""
    number = f'<span class="eqno">({node["number"]})</span>' if node.get("number") else ""
    formula = mathml(node.astext(), "block")
    writer.body.append(f'<div class="math-block"{target}>{formula}{number}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer under the name "mathml"."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
