"""Pages of HTML and cards of notebooks, taken apart."""

import base64
import io
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import numpy
from PIL import Image


class Page(HTMLParser):
    """What a page consists of; fails where elements are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self._take(tag, dict(attributes))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self._take(tag, dict(attributes))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def _take(self, tag, attributes):
        self.tags.append(tag)
        self.ids += [attributes["id"]] if "id" in attributes else []
        for name in ("href", "src", "xlink:href", "action", "data"):
            self.addresses += [attributes[name]] if name in attributes else []
        for value in attributes.values():
            self.addresses += re.findall(r"url\(([^)]*)\)", value or "")


class Read:
    """The HTML of a result's card: its texts, and its picture as pixels (None without one)."""

    def __init__(self, result: Any) -> None:
        html = result._repr_html_()
        assert not re.search(r"https?://(?!www\.w3\.org/1998/Math)|<script|<link|url\(", html)
        root = ElementTree.fromstring(html)  # refuses what is not well-formed
        self.text = " ".join("".join(root.itertext()).split())
        self.pixels, self.words = None, ""
        for image in root.iter("img"):
            self.words = image.attrib["alt"]
            data = base64.b64decode(image.attrib["src"].removeprefix("data:image/png;base64,"))
            self.pixels = numpy.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    @property
    def colours(self) -> int:
        """The number of different colours of the picture."""
        assert self.pixels is not None
        return len(numpy.unique(self.pixels.reshape(-1, 3), axis=0))
