"""Pages of HTML, taken apart."""

import re
from html.parser import HTMLParser


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
