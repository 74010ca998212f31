"""Rules for what detect-secrets has none of: headers, options, settings, shared addresses.

Every repetition that can begin anywhere is bounded: 10 MB must not take a minute.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator

from mlflow_dvc.secrets.values import is_key, is_password, is_placeholder, is_token

Span = tuple[int, int]

PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d|AGE-SECRET-KEY-1"
)
# What begins so is a token of a known service, whatever it is called.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"(?:gh[pousr]_|github_pat_|gl(?:pat|rt|dt|soat|ptt|ft|imt|agent|cbt)-|xox[abeoprs]-|xapp-|hf_|sk-"
    r"|[rs]k_(?:live|test)_|whsec_|pypi-|npm_|dapi|AIza|ya29\.|GOCSPX-|AKIA|ASIA|ABIA|ACCA|LTAI|AKID"
    r"|SG\.|dop_v1_|doo_v1_|dp\.(?:pt|st)\.|shp(?:at|ss|ca|pa)_|sq0(?:atp|csp)-|EAAAE|nvapi-|r8_|gsk_"
    r"|pplx-|xai-|lin_api_|ntn_|ATATT3|ATCTT3|dckr_(?:pat|oat)_|pul-|hvs\.|hvb\.|tfp_|PMAK-|NRAK-"
    r"|glsa_|rubygems_|sntr[ysu]{1,2}_|figd_|fio-u-|phc_|phx_|pscale_(?:tkn|pw|oauth)_|AGE-SECRET-KEY-1"
    r"|CFPAT-|sbp_|vercel_)"
    r"[A-Za-z0-9_.+/=-]{16,400}"
    r"|[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{40,90}"
    r"|eyJ[A-Za-z0-9_-]{8,4000}\.eyJ[A-Za-z0-9_-]{8,4000}(?:\.[A-Za-z0-9_-]{8,1000})?)"
)
_HOOK = re.compile(
    r"(?i:hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/)(?P<slack>[A-Za-z0-9_+/-]{8,200})"
    r"|(?i:discord(?:app)?\.com/api/(?:v\d+/)?webhooks/)(?P<discord>\d{5,30}/[\w-]{8,200})"
    r"|(?i:webhook\.office\.com|outlook\.office(?:365)?\.com)(?i:/webhookb?2?/)(?P<teams>[\w@./-]{16,400})"
    r"|(?i:api\.telegram\.org/(?:file/)?)(?P<telegram>bot\d{5,12}:[\w-]{20,60})"
    r"|(?i:hooks\.zapier\.com/hooks/catch/)(?P<zapier>\d{3,12}/[A-Za-z0-9]{4,40})"
    r"|(?i:events\.pagerduty\.com/integration/)(?P<pagerduty>[0-9a-f]{32})"
)
# A value of a query that lets in whoever has it.
_QUERY = re.compile(
    r"[?&;](?:amp;)?(?i:sig|signature|x-amz-(?:signature|security-token|credential)|x-goog-(?:signature"
    r"|credential)|x-oss-(?:signature|security-token)|awsaccesskeyid|key-pair-id|ossaccesskeyid"
    r"|(?:[a-z]{1,20}[_-])?(?:token|secret|password|passwd|pwd|api_?key|apikey|key|code|sas|jwt|auth))"
    r"=(?P<value>[^\s&\"'<>`;,)\\]{6,4000})"
)
_USER = re.compile(r"(?<=://)(?P<user>[^\s/?#\"'`<>\\]{1,1000})(?=@)")
_HEADER = re.compile(
    r"(?i:\bbearer\s{1,4}|\bauthorization[\"'\\\]]{0,4}\s{0,4}[:=,]\s{0,4}f?[\"'\\]{0,3}"
    r"(?:(?:basic|bearer|token|apikey|key|digest)\s{1,4}|(?=[A-Za-z0-9+/_.=-]{20}))"
    r"|\b(?:x-[a-z-]{0,30}(?:key|token|auth|secret)|(?:private|job|deploy|vault)-token|api-key|apikey)"
    r"[\"'\\\]]{0,4}\s{0,4}[:=,]\s{0,4}f?[\"'\\]{0,3})"
    r"(?P<value>[A-Za-z0-9+/_.~=-]{8,4000})"
)
_LOGIN = re.compile(
    r"(?i:\b(?:curl|wget|httpie|https?)\b[^\n]{0,400}?\s"
    r"(?:-[a-zA-Z]{0,6}u|--user|--proxy-user|-U|-a)[ =]?"
    r"[\"'\\]{0,3}[\w.@+-]{1,80}:)(?P<curl>[^\s\"'\\]{3,200})"
    r"|(?i:\b(?:sshpass|mysql|mysqldump|mongo|mongosh|docker\s+login|podman\s+login|redis-cli|smbclient"
    r"|lftp|oc\s+login|az\s+login|helm\s+registry\s+login)\b[^\n]{0,200}?\s-(?:p|a)\s?[\"'\\]{0,3})"
    r"(?P<option>[^\s\"'\\-][^\s\"'\\]{3,200})"
)
_CONNECTION = re.compile(
    r"(?i:\b(?:password|pwd|accountkey|sharedaccesskey|sharedaccesssignature|sharedsecret(?:value)?|apikey"
    r"|accesskey|secretkey)=)(?P<value>[^\s\"'`;,)\\]{6,1000})(?=[;\"'`\\])"
)
_STORAGE_KEY = re.compile(r"(?P<value>(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{86}==)(?![A-Za-z0-9+/=])")

_WORD = re.compile(
    r"(?i:(?P<password>password|passwd|passphrase|passwort|contrase(?:n|ñ)a|(?<![A-Za-z])pwd(?![A-Za-z])"
    r"|(?<=[a-z])pwd(?![a-z])|(?:db|ssh|smtp|mysql|ftp|user|auth|admin|root|key|mail|redis|pg|sql|mongo)"
    r"[_-]?pass(?![A-Za-z])|(?<![A-Za-z_])pass(?=[\"']?\s*[:=])|_auth(?=\s*=))"
    r"|(?P<key>secret|api[_-]?key|access[_-]?key|auth[_-]?key|account[_-]?key|storage[_-]?key"
    r"|private[_-]?key|signing[_-]?key|encryption[_-]?key|master[_-]?key|license[_-]?key|service[_-]?key"
    r"|client[_-]?key|subscription[_-]?key|function[_-]?key|app[_-]?key|application[_-]?key|write[_-]?key"
    r"|ssh[_-]?key|deploy[_-]?key|session[_-]?key|token|credential|webhook|(?<![a-z])dsn(?![a-z])|bearer"
    r"|connection[_-]?string|conn[_-]?str|sas(?=[\"']?\s*[:=])|(?<=[A-Z]_)key(?=[\"']?\s*=)))"
)
_TAIL = re.compile(
    r"(?P<more>s?(?![A-Za-z])[A-Za-z0-9_.-]{0,40})(?P<close>\\{0,2}[\"']?\]?)"
    r"(?P<op>(?:\s{0,3}:\s{0,3}[A-Za-z_.\[\]| ]{1,30}(?==))?\s{0,8}(?:=>|:=|[=!]?==?|:|\|)\s{0,8}"
    r"|\s{0,3},\s{0,3}(?=\\{0,3}[\"'])|\s{1,3}|\(\s{0,3}(?=\\{0,3}[\"']))"
)
_QUOTED = re.compile(
    r"[rbfuRBFU]{0,2}\\{0,3}(?P<quote>[\"'`])(?P<value>[^\"'`\n\\]{1,2000})(?=[\"'`\\])"
)
_PLAIN = re.compile(r"(?P<value>[^\s\"'`,;()\[\]{}<>|]{3,2000})(?=[\s\"'`,;)\]}]|\\n|$)")
# `secret_name`, `token_ids`: about a secret, and none.
_ABOUT = re.compile(
    r"(?i:[_.-](?:names?|files?|paths?|ids?|types?|len(?:gth)?|count|dims?|sizes?|ur[il]s?|endpoint|env|vars?"
    r"|arn|fields?|embeddings?|prob(?:s|ability)?|idx|index|indices|limit|policy|refs?|masks?|class(?:es)?"
    r"|pattern|regex|headers?|prefix|suffix|hash(?:es)?|manager|version|scopes?|expiry|expires|ttl|loc"
    r"|location|dir|folder|key_?name|providers?|list|set|format|style|method|mode|logits?|loss|acc|level"
    r"|list|classification|backend|store|rotation|required|enabled|map|callback|func|fn|stdin))$"
)
_OPTION_BEFORE = re.compile(
    r"(?:(?:^|[\s\"'=\[(,])--?[\w-]{0,40}|\b(?:set|setx|setenv|config|add)\s{1,3}[\w.-]{0,40})$"
)
# Where what stands behind a name without quotes is a text, and no name of the program.
_SETTINGS = frozenset(
    {".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".config", ".env", ".properties", ".sh",
     ".bash", ".zsh", ".ps1", ".bat", ".cmd", ".lock", ".dvc", ".txt", ".mk", ".tf", ".tfvars",
     ".json", ".envrc", ".sbatch", ".slurm", ".fish", ""}
)  # fmt: skip
_IN_COMMENT = re.compile(r"#|//")
_IN_SHELL = re.compile(r"!|%env |\bexport |\benv |\bset |`")
_MIN_IN_COMMENT = 20  # characters of what could be a name as well
_MAX_LINE_BEFORE = 120


_JUDGED: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = (
    (_QUERY, is_key),
    (_HEADER, is_key),
    (_CONNECTION, is_password),
    (_STORAGE_KEY, is_key),
)


def find_by_rules(path: str, text: str) -> Iterator[Span]:
    """Where in ``text``, the content of a file of this name, a secret stands."""
    is_settings = posixpath.splitext(path)[1].lower() in _SETTINGS
    yield from (match.span() for match in _TOKEN.finditer(text) if is_token(match[0]))
    for match in _USER.finditer(text):
        if span := _login(match):
            yield span
    for rule in (_HOOK, _LOGIN):
        for match in rule.finditer(text):
            name = match.lastgroup or ""
            if not is_placeholder(match[name]):
                yield match.span(name)
    for rule, judge in _JUDGED:
        yield from (m.span("value") for m in rule.finditer(text) if judge(m["value"]))
    for match in _WORD.finditer(text):
        if span := _assigned(text, match, is_settings=is_settings):
            yield span


def _login(match: re.Match[str]) -> Span | None:
    """A password behind a colon, or a token that stands alone."""
    name, colon, password = match["user"].partition(":")
    if colon:
        return None if is_placeholder(password) else match.span()
    return match.span() if len(name) >= 20 and not is_placeholder(name) else None


def _assigned(text: str, word: re.Match[str], *, is_settings: bool) -> Span | None:
    """What is given to something of such a name."""
    tail = _TAIL.match(text, word.end())
    if tail is None or _ABOUT.search(tail["more"]):
        return None
    start = max(text.rfind("\n", 0, word.start()) + 1, word.start() - _MAX_LINE_BEFORE)
    before = text[start : word.start()]
    is_option = bool(_OPTION_BEFORE.search(before)) and tail["op"][:1] in " =" and not tail["close"]
    if not is_option and not tail["op"].strip():
        return None
    judge = is_password if word["password"] else is_key
    quoted = _QUOTED.match(text, tail.end())
    if quoted:
        if not judge(quoted["value"], bare=is_settings):
            return None
        return quoted.span("value")
    plain = _PLAIN.match(text, tail.end())
    if plain is None or (tail["op"].strip() in ("", ",", "(", "|") and not is_option):
        return None
    value = plain["value"]
    at = plain.start("value")
    if value.endswith("\\n"):
        value = value[:-2]
    if is_settings or is_option:
        ok = judge(value, bare=is_settings)
    else:  # of a program: only what can be no name in it
        is_text = not value.isidentifier() or len(value) >= _MIN_IN_COMMENT
        is_comment = is_text and _IN_COMMENT.search(before)
        ok = is_key(value) and bool(is_comment or _IN_SHELL.search(before))
    return (at, at + len(value)) if ok else None
