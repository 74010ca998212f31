"""Pages as a browser takes them apart, and names that would like to be more than names."""

from __future__ import annotations

from html.parser import HTMLParser

HOSTILE = [
    "<script>alert(1)</script>.csv",
    '" onmouseover="alert(1)',
    "]]></style><img src=x onerror=alert(1)>",
    "a|b`c`[x](javascript:alert(1))*_~#.csv",
    "line\nbreak\x1b[31m.csv",
    "&lt;already&gt;",
]


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data
