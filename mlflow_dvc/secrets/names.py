"""Files that are there to hold secrets, by their names."""

from __future__ import annotations

import posixpath
import re

_SECRET_NAMES = re.compile(
    r"\.env.*|.*\.env|.*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk|asc|gpg)"
    r"|id_(?:rsa|dsa|ecdsa|ed25519).*|\.?netrc|_netrc|\.pypirc|\.npmrc|\.htpasswd|\.pgpass"
    r"|\.git-credentials|\.dockercfg|\.s3cfg|\.boto|kubeconfig|config\.local"
    r"|.*credentials.*|mlflow\.db.*"
    r"|(?:.*[._-])?(?:secrets?|tokens?|passwords?|passwd|api_?keys?)(?:[._-].*)?",
    re.IGNORECASE,
)
_SECRET_DIRECTORIES = frozenset({"secrets", ".secrets", ".aws", ".ssh", ".gnupg", ".kube"})


def is_secret_name(path: str) -> bool:
    """Whether files of this name are there to hold credentials, or every run ever made."""
    *folders, _ = path.split("/")
    name = posixpath.basename(path)
    return bool(_SECRET_NAMES.fullmatch(name)) or not _SECRET_DIRECTORIES.isdisjoint(folders)
