"""What is taken for a secret, and what of usual code is not."""

from __future__ import annotations

import socket
from typing import NoReturn

import pytest
from canaries import Canary, canaries

from mlflow_dvc.secrets.detector import find_secrets
from mlflow_dvc.secrets.names import is_secret_name

MIN_CAUGHT = 0.98


def redact(path: str, text: str) -> str:
    for start, end in reversed(find_secrets(path, text) or ()):
        text = f"{text[:start]}***{text[end:]}"
    return text


def is_caught(one: Canary, line: str) -> bool:
    """Whether nothing is left of it, or less than half of a long one."""
    left = redact(one.path, line)
    size = min(len(one.secret), 12)
    parts = {one.secret[at : at + size] for at in range(len(one.secret) - size + 1)}
    return not any(part in left for part in parts)


@pytest.mark.parametrize("before", ["", "+"], ids=["file", "patch"])
@pytest.mark.parametrize("seed", [1, 2])
def test_canaries(before: str, seed: int):
    """Of two hundred planted secrets, of many kinds in many kinds of files, 98 in 100 are found."""
    every = canaries(seed)
    assert len(every) >= 200
    missed = [one for one in every if not is_caught(one, before + one.line)]
    assert len(missed) <= (1 - MIN_CAUGHT) * len(every), missed


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.py", "https://{user}:{password}@host"), ("a.py", "ssh://git@host/x"),
        ("a.py", "a://$U:$P@h"), ("a.py", "b://u:${P}@h"), ("a.py", "c://u:%s@h"),
        ("a.py", "d://u:%(password)s@h"), ("a.py", "http://host/a@b"),
        ("a.py", "password = get_password()"), ("a.py", "token = os.environ['TOKEN']"),
        ("a.py", "secret_key = os.environ['SECRET_KEY']"), ("a.py", "x.password = args.password"),
        ("a.py", "token = tokenizer(text, return_tensors='pt')"), ("a.py", "sk-learn"),
        ("a.py", "passwords: 3"), ("a.py", 'secret = "a plain sentence"'), ("a.py", "user@host"),
        ("a.py", "SECRET=$SECRET"), ("a.py", 'pad_token = "[PAD]"'), ("a.py", 'eos_token="</s>"'),
        ("a.py", "tokens = line.split()"), ("a.py", "key = jax.random.PRNGKey(42)"),
        ("a.py", 'KEY = "data/raw/train_2024-01-01.csv"'),
        ("a.py", 'sort_key = "created_at_2"'), ("a.py", "def login(user, password=None): ..."),
        ("a.py", "parser.add_argument('--password', default=None)"),
        ("a.py", 'hf_hub_download(repo_id="org/model-v2", token=True)'),
        ("a.py", 'model = "hf_transformers_base_model_v2"'),
        ("a.py", 'run_id = "3f2a9c0d4b5e6f708192a3b4c5d6e7f8"'),
        ("a.py", 'sha = "9c0d4b5e6f708192a3b4c5d6e7f83f2a9c0d4b5e"'),
        ("a.py", 'uuid = "123e4567-e89b-12d3-a456-426614174000"'),
        ("dvc.lock", "      md5: 3f2a9c0d4b5e6f708192a3b4c5d6e7f8.dir"),
        ("dvc.lock", "      etag: '\"3f2a9c0d4b5e6f708192a3b4c5d6e7f8-12\"'"),
        ("dvc.lock", "    cmd: python train.py --max-tokens 4096 --token-type bert"),
        ("params.yaml", "  tokenizer: bert-base-uncased"), ("params.yaml", "max_tokens: 4096"),
        ("params.yaml", "  password: ${DB_PASSWORD}"), ("params.yaml", "  password: null"),
        ("params.yaml", "  secret_name: prod/db-2"), ("params.yaml", "  token: <your token>"),
        ("params.yaml", "  api_key: !ENV API_KEY"), ("params.yaml", "  key_path: keys/id_2"),
        ("params.yaml", "s3: s3://bucket/key/part-0001.parquet"),
        ("run.sh", 'docker login --username AWS --password-stdin 82.dkr.ecr.amazonaws.com'),
        ("run.sh", 'curl -u "$USER:$PASSWORD" https://example.org'),
        ("run.sh", 'curl -H "Authorization: Bearer $TOKEN" https://example.org'),
        ("a.ipynb", '   "image/png": "iVBORw0KGgoAAAANSUhEUgAA' + "aB3+/x9Q" * 400 + '",'),
        ("a.ipynb", '   "id": "8c2f1a9e",'), ("a.ipynb", '    "tokens = tokenizer(\\"a b\\")\\n",'),
    ],
)  # fmt: skip
def test_no_secret(path: str, line: str):
    """What only looks like a secret stays: the code would not be the code without."""
    assert redact(path, line) == line
    assert redact(path, f"+{line}") == f"+{line}"


@pytest.mark.parametrize(
    "text",
    [
        "https://me:planted@host/x", "postgresql://u:pl%40nted@db/x", "mysql://u:planted$1@db",
        "postgres://u:plan@ted@db/x", "https://u:p{lanted@h", "https://planted0planted0planted0@h",
        "ghp_planted14planted14planted14plant", "sk-ant-planted0planted0planted0",
        "AIzaplanted0planted0planted0planted0", "AKIAPLANTED0PLANTED0", "ASIAPLANTED0PLANTED0",
        "npm_planted0planted0planted0planted0", "dapiplanted0planted0planted0",
        'aws_secret_access_key = "planted0/x+planted"', "MLFLOW_TRACKING_PASSWORD=planted0",
        "password: 'planted-0'", "glpat-planted0planted0plan", 'DB_PASSWORD = "planted-0"',
    ],
)  # fmt: skip
def test_secrets(text: str):
    """Passwords in URLs, tokens of known services and literals of such names are taken out."""
    clean = redact("settings.cfg", text)
    assert "***" in clean
    assert "lanted" not in clean


def test_private_key():
    """A private key has no part that could be taken out alone."""
    begin = "-----BEGIN RSA " + "PRIVATE KEY-----"
    assert find_secrets("a.py", f"K = '''{begin}\nabc\n'''") is None


def test_nobody_is_asked(monkeypatch: pytest.MonkeyPatch):
    """Whether a secret works is not tried out: no connection is made, whatever is found."""

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for one in canaries():
        find_secrets(one.path, one.line)


@pytest.mark.parametrize(
    "name",
    [".env", "prod.env", ".env.local", "secrets_prod.yaml", "secrets/prod.yaml", "token.yaml",
     "passwords.ini", "api_keys.py", "id_rsa", "a.pem", ".netrc", "aws_credentials", "mlflow.db",
     ".git-credentials", "kubeconfig"],
)  # fmt: skip
def test_names_of_secrets(name: str):
    """Files are left out by their names alone."""
    assert is_secret_name(f"conf/{name}")


@pytest.mark.parametrize(
    "name", ["tokenizer.py", "environment.yml", "keys.py", "model.py", "secretary.py"]
)
def test_names_of_code(name: str):
    """Names that only begin so are code."""
    assert not is_secret_name(f"src/{name}")
