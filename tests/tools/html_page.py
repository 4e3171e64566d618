"""What a page holds, found without a browser."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "source", "br", "wbr", "hr", "input"}


class HtmlPage(HTMLParser):
    """Elements of a page, as (tag, attributes), its text, and what is wrong with their nesting."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.source, self.text, self.elements, self.faults, self._open = source, "", [], [], []
        self.feed(source)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self._open]

    def handle_starttag(self, tag, attrs):
        if len(dict(attrs)) < len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> closes another element")

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]
