"""Replaces a key in texts, in whatever form it was escaped or encoded."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

from .secret import MASK, Secret

SHORTEST = 8  # characters; a shorter "key" is a word such as "none", found in texts that have nothing to do with it
# Names of characters in HTML, where a key may hold them.
_ENTITIES = {
    **{"!": "excl", '"': "quot", "#": "num", "$": "dollar", "%": "percnt", "&": "amp", "'": "apos", "(": "lpar"},
    **{")": "rpar", "*": "ast|midast", "+": "plus", ",": "comma", "-": "hyphen|dash", ".": "period", "/": "sol"},
    **{":": "colon", ";": "semi", "<": "lt", "=": "equals", ">": "gt", "?": "quest", "@": "commat", "[": "lsqb|lbrack"},
    **{"\\": "bsol", "]": "rsqb|rbrack", "^": "Hat", "_": "lowbar|UnderBar", "`": "grave", "{": "lcub|lbrace"},
    **{"|": "vert|verbar", "}": "rcub|rbrace", "~": "tilde"},
}


class KeyMask:
    """Replaces keys by "[key]".

    Found as it is and with any of its characters escaped, repeatedly if need be: as in JSON and source code (`\\/`,
    `\\u002d`, `\\x2d`), URLs (`%2D`) and HTML (`&#45;`, `&#x2d;`, `&dash;`); also in base64 and hexadecimal, alone or
    within a longer text that was encoded.

    Args:
        secrets: the keys; an empty one, or one of fewer than 8 characters, is not looked for.
    """

    def __init__(self, *secrets: Secret) -> None:
        patterns = {_to_pattern(secret) for secret in secrets if len(secret.reveal()) >= SHORTEST}
        # The longest first: one key may be the beginning of another.
        self._pattern = re.compile("|".join(sorted(patterns, key=len, reverse=True)), re.I) if patterns else None

    def __call__(self, text: str) -> str:
        """The text without the key; mask before you cut, or a part of the key may remain."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def __repr__(self) -> str:
        """Without the pattern, which spells the key."""
        return "KeyMask()"


def _to_pattern(secret: Secret) -> str:
    key = secret.reveal()
    forms = [key, key.encode().hex(), *_base64_forms(key.encode())]
    return "|".join("".join(_escaped_forms(character) for character in form) for form in forms)


def _escaped_forms(character: str) -> str:
    """A pattern for one character, as it is or escaped a few times; a bound, or hostile texts would take long."""
    code, plain = ord(character), re.escape(character)
    forms = [
        rf"\\{{1,8}}(?:u00|U000000|x){code:02x}",
        rf"%(?:25){{0,4}}{code:02x}",
        rf"&(?:amp;){{0,4}}\#(?:0{{0,6}}{code}|x0{{0,6}}{code:x});",
    ]
    if character in _ENTITIES:
        forms.append(rf"&(?:amp;){{0,4}}(?:{_ENTITIES[character]});")
    forms.append(plain if character.isalnum() else rf"\\{{0,8}}{plain}")  # last: an escape may begin with the character
    return f"(?:{'|'.join(forms)})"


def _base64_forms(data: bytes) -> Iterator[str]:
    """The characters that these bytes alone decide, at each of the three places they may have in what was encoded."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        core = encoded[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        yield core
        if "+" in core or "/" in core:
            yield core.translate(str.maketrans("+/", "-_"))
