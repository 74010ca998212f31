"""Where something came from, and what came of it (``lineage``): as a tree, as JSON, as a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli.render import terminal
from mlflow_dvc.report.words import short, size_in_words

if TYPE_CHECKING:
    from rich.tree import Tree

    from mlflow_dvc.recall.lineage.graph import Edge, Lineage, Node

_BRANCHES = 30  # of one node; the rest is counted
_DEEP = 200  # rich draws a tree by recursion


def as_json(lineage: Lineage) -> dict[str, Any]:
    return {"schema": terminal.SCHEMA, **asdict(lineage)}


def tree(lineage: Lineage) -> None:
    if not lineage.nodes:
        terminal.say(f"no run saw {lineage.what}")
    else:
        terminal.console_of().print(_Drawn(lineage).tree())
    terminal.warn(lineage.warnings)


class _Drawn:
    """Two trees of one graph: against its edges, and along them. Each node is opened once."""

    def __init__(self, lineage: Lineage) -> None:
        self._lineage = lineage
        self._nodes = {node.key: node for node in lineage.nodes}
        self._above: dict[str, list[Edge]] = {}
        self._below: dict[str, list[Edge]] = {}
        for edge in lineage.edges:
            self._above.setdefault(edge.end, []).append(edge)
            self._below.setdefault(edge.start, []).append(edge)

    def tree(self) -> Tree:
        from rich.tree import Tree

        whole = Tree(terminal.plain(self._lineage.what), highlight=False)
        for title, edges, next_of in (
            ("came from", self._above, lambda edge: edge.start),
            ("came of it", self._below, lambda edge: edge.end),
        ):
            part = whole.add(f"[bold]{title}[/bold]")
            opened: set[str] = set()
            for key in self._lineage.subjects:
                branch = part.add(_line(self._nodes[key]))
                self._grow(branch, key, edges, next_of, opened, 1)
        return whole

    def _grow(
        self,
        branch: Tree,
        key: str,
        edges: Mapping[str, Sequence[Edge]],
        next_of: Callable[[Edge], str],
        opened: set[str],
        depth: int,
    ) -> None:
        found = edges.get(key, [])
        if key in opened or (depth > _DEEP and found):
            if found:
                branch.add("[dim]... as above[/dim]" if key in opened else "[dim]...[/dim]")
            return
        opened.add(key)
        if not found and depth == 1:
            branch.add("[dim]nothing is known[/dim]")
        for edge in found[:_BRANCHES]:
            end = next_of(edge)
            self._grow(
                branch.add(_line(self._nodes[end], edge)), end, edges, next_of, opened, depth + 1
            )
        if len(found) > _BRANCHES:
            branch.add(f"[dim]and {len(found) - _BRANCHES} more (--json has all)[/dim]")


def _line(node: Node, edge: Edge | None = None) -> str:
    words = "  ".join(terminal.plain(word) for word in _words(node) if word)
    said = [edge.how] if edge is not None and edge.how in ("part of", "same content", "saw") else []
    said += [edge.doubt] if edge is not None and edge.doubt else []
    doubt = f"  [yellow]({terminal.plain('; '.join(said))})[/yellow]" if said else ""
    return f"[dim]{node.kind}[/dim]  {words}{doubt}"


def _words(node: Node) -> Iterator[str]:
    facts = node.facts
    if node.kind in ("run", "code"):
        yield short(node.id)
        yield node.name
    elif node.kind == "logged model":
        yield node.name
        yield node.id or ""
    else:
        yield node.name
    if node.kind == "data":
        yield short(node.id) if node.id else "hash not known"
        yield size_in_words(facts.get("size"))
        yield f"{facts['nfiles']} files" if facts.get("nfiles") is not None else ""
        yield str(facts.get("state", ""))
    yield from _remarks(node.facts)


def _remarks(facts: Mapping[str, Any]) -> Iterator[str]:
    if facts.get("dirty"):
        yield "with uncommitted changes"
    if aliases := facts.get("aliases"):
        yield "@" + ", @".join(aliases)
    if started := facts.get("started"):
        yield str(started)[:16].replace("T", " ")


def html(lineage: Lineage) -> str:
    raise NotImplementedError
