"""Write what documents say of the code: ``cli.md``, the modules in ``architecture.md``, and in
``record.md`` the figures of ``benchmarks.json``.

Run it after a command, the first line of a module or a figure changed; a test holds the documents
equal.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from mlflow_dvc.cli.main import cli
from mlflow_dvc.cli.options import SECTIONS

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "mlflow_dvc"
COLUMNS = 80
MODULES = re.compile(r"(?<=<!-- modules -->\n).*?(?=<!-- end of modules -->)", re.DOTALL)
COSTS = re.compile(r"(?<=<!-- costs -->\n).*?(?=<!-- end of costs -->)", re.DOTALL)
# Lowest first, as tests/test_layers.py has them.
FOLDERS = {
    "": "For all layers",
    "secrets": "What must not leave the machine",
    "git": "Git",
    "dvc_backend": "DVC, in a process of its own",
    "dvcfiles": "DVC's files, without DVC",
    "observe": "Which files a process opens",
    "capture": "From the workspace to a Snapshot",
    "tracking": "The tracking server",
    "datasets": "MLflow datasets",
    "report": "Pages for people",
    "record": "The automatic path",
    "recall": "What people ask for",
    "cli": "The command line",
    "gate": "Gates for models",
}


def cli_page() -> str:
    """Every command with its help, in the order of ``mlflow-dvc --help``."""
    parts = [
        "# Commands\n\n"
        "This page is made by [reference.py](reference.py) from `mlflow-dvc COMMAND --help`.\n",
        _help(cli, "mlflow-dvc"),
    ]
    for section in SECTIONS:
        if any(getattr(one, "section", None) == section for one in cli.commands.values()):
            parts.append(f"## {section}\n")
        for name, command in sorted(cli.commands.items()):
            if getattr(command, "section", None) == section:
                parts += [f"### {name}\n", _help(command, f"mlflow-dvc {name}")]
    return "\n".join(parts)


def _help(command: click.Command, name: str) -> str:
    context = click.Context(
        command, info_name=name, max_content_width=COLUMNS, terminal_width=COLUMNS,
        help_option_names=["-h", "--help"],
    )  # fmt: skip
    lines = (line.rstrip() for line in command.get_help(context).splitlines())
    return "```text\n" + "\n".join(lines) + "\n```\n"


def module_lists() -> str:
    """For each folder its modules, each with the first line of its docstring."""
    parts = []
    for folder, title in FOLDERS.items():
        rows = "\n".join(f"| `{name}` | {line} |" for name, line in _modules(folder))
        name = f"`{folder}/`: " if folder else ""
        parts.append(f"\n### {name}{title}\n\n| module | what it does |\n|---|---|\n{rows}\n")
    return "".join(parts) + "\n"


def _modules(folder: str) -> Iterator[tuple[str, str]]:
    top = PACKAGE / folder
    for path in sorted(top.rglob("*.py") if folder else top.glob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        name = path.relative_to(top).as_posix().removesuffix(".py").removesuffix("__init__")
        yield name.rstrip("/") or "__init__", docstring.partition("\n")[0].replace("|", r"\|")


def architecture_page() -> str:
    """``architecture.md`` as it stands, with the lists of modules made anew."""
    text = (HERE / "architecture.md").read_text("utf-8")
    return MODULES.sub(lambda _: module_lists(), text)


def record_page() -> str:
    """``record.md`` as it stands, with the figures as they were measured last."""
    text = (HERE / "record.md").read_text("utf-8")
    return COSTS.sub(lambda _: cost_table(), text)


def cost_table() -> str:
    """What ``python -m benchmarks --to docs`` has measured."""
    told = json.loads((HERE / "benchmarks.json").read_text("utf-8"))
    rows = "".join(
        f"| {row['name']} | {row['ours']:.1f} | {row['other']:.1f} | {row['beside']} "
        f"| {row['ratio']:.2f} |\n"
        for row in told["rows"]
    )
    where = f"{told['machine']}, Python {told['python']}, MLflow {told['mlflow']}, {told['date']}"
    head = "| | with us, ms | beside, ms | beside is | ratio |\n|---|---|---|---|---|\n"
    return f"\nMeasured by `python -m benchmarks` ({where}):\n\n{head}{rows}\n"


def is_current(name: str, page: str) -> bool:
    """Whether the document says the same; another version of click may break lines elsewhere."""
    return (HERE / name).read_text("utf-8").split() == page.split()


def main() -> int:
    """With ``--check`` nothing is written; the exit code is 1 where a document is not current."""
    pages = {
        "cli.md": cli_page(),
        "architecture.md": architecture_page(),
        "record.md": record_page(),
    }
    if "--check" in sys.argv:
        old = [name for name, page in pages.items() if not is_current(name, page)]
        print(*(f"docs/{name} is not current: run docs/reference.py" for name in old), sep="\n")
        return int(bool(old))
    for name, page in pages.items():
        (HERE / name).write_text(page, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
