"""What HTML pages share: style, tables, escaping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from mlflow_dvc.report.labels import printable

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#5b6470;--line:#d0d7de;--box:#f6f8fa;
--run:#0b62c4;--runbg:#e8f1fc;--warn:#9a4b00;--bad:#b3261e;--add:#0a6b2e;--addbg:#e6f6ea;
--delbg:#fdecea}
@media(prefers-color-scheme:dark){:root{--bg:#0f1318;--fg:#e4e8ee;--dim:#9aa5b1;--line:#3a434e;
--box:#1a2027;--run:#7db6ff;--runbg:#14273f;--warn:#ffb266;--bad:#ff8f86;--add:#7ddc9a;
--addbg:#12301d;--delbg:#3a1715}}
*{box-sizing:border-box}body{margin:0 auto;padding:24px;max-width:1400px;background:var(--bg);
color:var(--fg);font:15px/1.5 system-ui,sans-serif}h1{font-size:22px;margin:0 0 12px}
h2{font-size:17px;margin:28px 0 8px}.wide{overflow:auto;border:1px solid var(--line);
border-radius:8px;padding:12px}.wide:focus-visible{outline:3px solid var(--run)}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:4px 12px 4px 0;
border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:break-word}
th{color:var(--dim);font-weight:600}th[scope=row]{width:14em}td.n,th.n{text-align:right;white-space:nowrap}
td code,td.hash{overflow-wrap:anywhere}
code,pre,.hash{font:13px/1.45 ui-monospace,Menlo,Consolas,monospace}
pre{margin:0;white-space:pre}.add{color:var(--add);background:var(--addbg)}
.del{color:var(--bad);background:var(--delbg)}.at{color:var(--dim)}
.modified{color:var(--warn);font-weight:600}.missing{color:var(--bad);font-weight:600}
svg{display:block}svg text{fill:var(--fg);font:13px system-ui,sans-serif}
svg .hash{font:12px ui-monospace,Menlo,Consolas,monospace;fill:var(--dim)}
svg .title{font-weight:600}svg .box{fill:var(--box);stroke:var(--line)}
svg .data .box{stroke-dasharray:4 3}svg .running .box{fill:var(--runbg);stroke:var(--run);
stroke-width:2.5}svg .running .title{fill:var(--run)}svg .edge{fill:none;stroke:var(--dim);
stroke-width:1.3}svg .arrow{fill:var(--dim)}svg text.modified{fill:var(--warn);font-weight:400}
svg text.missing{fill:var(--bad);font-weight:400}
"""


def head(title: str, style: str = "") -> Iterator[str]:
    """Everything before what the page is about; ``style`` is added to the common one."""
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield f'<meta name="viewport" content="width=device-width"><title>{safe(title)}</title>'
    yield f"<style>{STYLE}{style}</style></head><body><main>"


FOOT = "</main></body></html>\n"


def facts_table(facts: Iterable[tuple[str, str]]) -> str:
    rows = (f'<tr><th scope="row">{safe(a)}</th><td>{safe(b)}</td></tr>' for a, b in facts)
    return f"<table>{''.join(rows)}</table>"


def warnings_list(warnings: Iterable[str]) -> Iterator[str]:
    """A list of what could not be told, if there is such a thing."""
    warnings = list(warnings)
    if warnings:
        yield "<h2>What could not be told</h2><ul>"
        yield from (f"<li>{safe(warning)}</li>" for warning in warnings)
        yield "</ul>"


def safe(text: str) -> str:
    """``text`` from elsewhere, to stand in HTML as it is."""
    return escape(printable(text, keep="\n\t"))
