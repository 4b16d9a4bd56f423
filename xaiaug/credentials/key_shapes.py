"""What keys of services look like, for texts and settings that may hold one we do not know."""

from __future__ import annotations

import base64
import binascii
import re

from .secret import MASK

# Repetitions are bounded, so that no text takes long. A folder such as "sk-learn-photos" is no key.
_SHAPES = re.compile(
    r"""\b(?:
        sk-(?:ant|proj|or|svcacct|admin)-\S{8,}
      | (?:sk|pk|rk|xai|key|pplx|csk|tvly|nvapi|gl[a-z]{2,8})-(?=[\w-]{0,200}\d)[\w-]{16,}
      | (?:sk|rk|pk)_(?:live|test)_\w{16,}
      | (?:hf|gsk|gh[opsur]|github_pat|npm|dckr_pat|shpat|r8|lin_api|dop_v1|pypi)[_-](?=[\w-]{0,200}[\dA-Z])[\w-]{16,}
      | glpat-[\w-]{16,}
      | xox[a-z]-[\w-]{10,}
      | A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}\b
      | AIza[\w-]{30,}
      | ya29\.[\w-]{16,}
      | SG\.[\w-]{16,100}\.[\w-]{16,}
      | eyJ[\w-]{8,500}\.[\w-]{8,}\.?[\w-]*
      | Bearer\s+\S{12,}
    )
    | -----BEGIN\ [A-Z ]{0,40}PRIVATE\ KEY
    | (?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,20}://[^\s/?\#@:]{0,200}:[^\s/?\#@]{1,200}@
    | [?&\#;](?:[\w.-]{0,40}[_.-])?
      (?:api-?key|key|token|secret|password|passwd|pwd|auth|sig|signature|credentials?)=[^&\s\#]{6,}
    | (?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,20}://[^\s\#]{0,500}\#(?=[\w.~-]{0,100}\d)(?=[\w.~-]{0,100}[A-Za-z])[\w.~-]{20,}
    """,
    re.ASCII | re.VERBOSE,
)
_BASIC = re.compile(r"\bBasic\s+([A-Za-z0-9+/_-]{8,}={0,2})", re.ASCII | re.IGNORECASE)
_STARTS = re.compile(r"\b(sk|key)-[\w*-]{6,}")  # how services quote a part of a key


def looks_like_key(text: str) -> bool:
    """Whether a text holds what looks like the key of a service, or an address with a password."""
    return bool(_SHAPES.search(text)) or any(_is_name_and_password(found[1]) for found in _BASIC.finditer(text))


def mask_key_shapes(text: str) -> str:
    """A text where what looks like a key is replaced."""
    text = _BASIC.sub(lambda found: MASK if _is_name_and_password(found[1]) else found[0], text)
    return _STARTS.sub(r"\1-…", _SHAPES.sub(MASK, text))


def _is_name_and_password(text: str) -> bool:
    """Whether this is what follows "Basic" in a header: a name, a colon and a password, in base64."""
    padded = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return b":" in base64.b64decode(padded + "=" * (-len(padded) % 4))
    except (binascii.Error, ValueError):
        return False
