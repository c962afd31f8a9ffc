"""Cut a text of the grammar into sentences."""

from __future__ import annotations

import re

__all__ = ["sentences"]

_SENTENCE = re.compile(r"[^.?!]+[.?!][\")]*")


def sentences(text: str) -> list[str]:
    """Sentences without surrounding blanks; a quotation that ends in a full stop ends its sentence.

    >>> sentences('Ada said: "I rest." Why?')
    ['Ada said: "I rest."', 'Why?']
    """
    return [found.strip() for found in _SENTENCE.findall(text)]
