"""Docstrings of the code as Markdown: roles become code, and underlined headings bold lines."""

import re

import griffe

_ROLE = re.compile(r":\w+:`~?([\w.]+)`")
_HEADING = re.compile(r"^(?P<title>(?!Parameters|Returns|Raises|Attributes)\w+)\n-{3,}$", re.M)


class Docstrings(griffe.Extension):
    """Rewrites every docstring before it is read."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            text = _ROLE.sub(lambda role: f"`{role[1].rpartition('.')[2]}`", obj.docstring.value)
            obj.docstring.value = _HEADING.sub(r"**\g<title>**\n", text)
