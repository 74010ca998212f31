"""Whether a text that stands where a secret may stand is one."""

from __future__ import annotations

import math
import re
from collections import Counter

# `{password}`, `$NAME`, `%s` and the like stand for a secret and are none.
_PLACEHOLDER = re.compile(
    r"\{[^}]*\}+|\$\w+|\$\{.*|\$\(.*|\$\{\{.*|%s|%[A-Z_]+%|%\(\w+\)s|<[^>]*>?|\[[^\]]*\]|\*+|[xX.\-_#]+"
    r"|!?\w*(?:env|vault|file|secret):.*|@\w.*\.\w{2,5}|"
)
_TEMPLATE = re.compile(
    r"\$\{\w|\{\{|\$\(|%\(\w+\)s|<[a-z_ -]+>|\{(?:[A-Za-z_][\w.]*)?\}|os\.environ|getenv"
)
_ORDINARY = frozenset(
    {"password", "passwd", "pass", "passphrase", "secret", "secrets", "token", "key", "string",
     "str", "text", "none", "null", "nil", "true", "false", "yes", "no", "required", "optional",
     "env", "environ", "environment", "default", "prompt", "hidden", "redacted", "changeme",
     "example", "dummy", "test", "your_password", "your-password", "mypassword", "placeholder",
     "undefined", "empty", "unset", "int", "bool", "bytes", "any", "self", "auto", "value",
     "username", "user", "admin", "root", "basic", "bearer", "oauth", "oauth2", "jwt", "ssh",
     "login", "credential", "credentials", "password1", "file", "keyring", "manager", "md5",
     "sha256", "bcrypt", "argon2", "plain", "utf-8", "utf8"}
)  # fmt: skip
_NO_SECRET = re.compile(
    r"(?:[a-z][a-z0-9+.-]{0,20}:)?//.*|\.{0,2}/[\w./-]*|~/.*|[\w./-]+\.(?:json|ya?ml|toml|txt|pem|key|env|py"
    r"|csv|ini|cfg|crt|ipynb|md|html?|pkl|pt|bin|lock|dvc)|[\d.,:eE+-]+|0x[0-9a-fA-F]{1,8}",
    re.DOTALL,
)
_WORDS = re.compile(r"[A-Za-z]+(?:[-_./: ][A-Za-z]*\d{0,4}){0,20}")
_EXAMPLES = ("your_", "your-", "my_", "insert", "replace", "changeme", "example")
_REPEATED = re.compile(r"(.)\1*")
_MIN_KEY, _MIN_PASSWORD = 8, 6
_MIN_BITS = 2.6  # of a character; words have less variety at this length


def is_placeholder(value: str) -> bool:
    """Whether ``value`` stands for a secret that comes from elsewhere."""
    return bool(
        _PLACEHOLDER.fullmatch(value)
        or _REPEATED.fullmatch(value)
        or _TEMPLATE.search(value)
        or value.lower().strip("_-") in _ORDINARY
        or value.lower().startswith(
            ("your_", "your-", "my_", "insert", "replace", "changeme", "example")
        )
    )


def is_password(value: str, *, bare: bool = False) -> bool:
    """Of a password; ``bare``: in a file of settings, where a word may be one as well."""
    if is_placeholder(value) or re.search(r"\s", value):
        return False
    if value.isdigit():
        return len(value) >= 4
    if _NO_SECRET.fullmatch(value) or len(value) < (4 if bare else _MIN_PASSWORD):
        return False
    has_digit = any(char.isdigit() for char in value)
    has_letter = any(char.isalpha() for char in value)
    if bare:
        return has_letter and not re.fullmatch(r"[a-z_]+\.[\w.]+", value)
    is_odd = bool(re.search(r"[^\w.\-/ :,\[\]()=]", value)) and len(value) >= 8
    return has_letter and (has_digit or is_odd)


def is_key(value: str, *, bare: bool = False) -> bool:
    """Of a key or a token: made by a machine."""
    del bare
    if len(value) < _MIN_KEY or is_placeholder(value) or re.search(r"\s", value):
        return False
    if _NO_SECRET.fullmatch(value) or _WORDS.fullmatch(value):
        return False
    has_both = any(char.isdigit() for char in value) and any(char.isalpha() for char in value)
    return has_both and _bits(value) >= _MIN_BITS and "(" not in value


def is_token(value: str) -> bool:
    """Of what begins as tokens of a service do."""
    has_digit = any(char.isdigit() for char in value)
    is_name = is_placeholder(value) or _WORDS.fullmatch(value)
    return has_digit and not is_name and _bits(value) >= _MIN_BITS


def _bits(value: str) -> float:
    """Shannon's entropy of a character."""
    total = len(value)
    counts = Counter(value).values()
    return -sum(count / total * math.log2(count / total) for count in counts)
