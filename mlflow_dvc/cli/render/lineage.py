"""Where something came from, and what came of it (``lineage``): as a tree, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow_dvc.cli import terminal
from mlflow_dvc.report.labels import short_hash, size_in_words

if TYPE_CHECKING:
    from rich.tree import Tree

    from mlflow_dvc.recall.lineage.graph import Edge, Lineage, Node

_MAX_BRANCHES = 30  # of one node; the rest is counted
_MAX_DEPTH = 200  # rich draws a tree by recursion
# What an edge says of the node that is named below another, above it in the graph or below it.
_ABOVE = {"part of": "lies in it", "holds": "holds it", "saw": "lay there"}
_BELOW = {"part of": "holds it", "holds": "lies in it", "saw": "saw it"}
_EITHER = {"same content": "the same content"}


def lineage_json(lineage: Lineage) -> dict[str, Any]:
    return {"schema": terminal.JSON_SCHEMA, **asdict(lineage)}


def print_lineage(lineage: Lineage) -> None:
    if not lineage.nodes:
        terminal.say(f"no run saw {lineage.what}")
    else:
        terminal.print_tree(terminal.console_of(), _drawn(lineage))
    terminal.warn(lineage.warnings)


def remarks(node: Node) -> Iterator[str]:
    """What else is known of a node, in words."""
    facts = node.facts
    if node.kind == "data" and node.id is None:
        yield "hash not known"
    yield size_in_words(facts.get("size"))
    yield f"{facts['nfiles']} files" if facts.get("nfiles") is not None else ""
    yield str(facts.get("state", ""))
    yield "with uncommitted changes" if facts.get("dirty") else ""
    yield ", ".join(f"@{alias}" for alias in facts.get("aliases", ()))
    yield str(facts.get("started", ""))[:16].replace("T", " ")


@dataclass
class _Side:
    """One way through the graph. Each node is opened once."""

    edges: Mapping[str, Sequence[Edge]]
    next_of: Callable[[Edge], str]
    words: Mapping[str, str]
    opened: set[str] = field(default_factory=set)


def _drawn(lineage: Lineage) -> Tree:
    from rich.tree import Tree

    nodes = {node.key: node for node in lineage.nodes}
    above: dict[str, list[Edge]] = {}
    below: dict[str, list[Edge]] = {}
    for edge in lineage.edges:
        above.setdefault(edge.end, []).append(edge)
        below.setdefault(edge.start, []).append(edge)
    alone = nodes[lineage.subjects[0]] if len(lineage.subjects) == 1 else None
    whole = Tree(_line(alone) if alone else terminal.plain(lineage.what))
    for title, side in (
        ("came from", _Side(above, lambda edge: edge.start, _ABOVE)),
        ("came of it", _Side(below, lambda edge: edge.end, _BELOW)),
    ):
        part = whole.add(f"[bold]{title}[/bold]")
        for key in _starts(lineage, side):
            branch = part if alone else part.add(_line(nodes[key]))
            if not _grow(branch, key, nodes, side):
                branch.add("[dim]nothing is known[/dim]")
    return whole


def _starts(lineage: Lineage, side: _Side) -> list[str]:
    """What was asked for, less what is met on the way from another: a file in its folders, say."""
    met = {
        side.next_of(edge)
        for key in lineage.subjects
        for edge in side.edges.get(key, ())
        if edge.how == "part of"
    }
    return [key for key in lineage.subjects if key not in met] or list(lineage.subjects)


def _grow(
    branch: Tree, key: str, nodes: Mapping[str, Node], side: _Side, depth: int = 1
) -> Sequence[Edge]:
    """Add what is next to ``key``, and so on; the edges that lead there."""
    found = side.edges.get(key, [])
    side.opened.add(key)
    for edge in found[:_MAX_BRANCHES]:
        end = side.next_of(edge)
        goes_on = end in side.edges
        again = end in side.opened or depth == _MAX_DEPTH
        cut = "..." if depth == _MAX_DEPTH else "... as above"
        said = f"  [dim]{cut}[/dim]" if goes_on and again else ""
        below = branch.add(_line(nodes[end], edge, side.words) + said)
        if not again:
            _grow(below, end, nodes, side, depth + 1)
    if len(found) > _MAX_BRANCHES:
        branch.add(f"[dim]and {len(found) - _MAX_BRANCHES} more (--json has all)[/dim]")
    return found


def _line(node: Node, edge: Edge | None = None, words: Mapping[str, str] | None = None) -> str:
    shown = "  ".join(terminal.plain(word) for word in _words(node) if word)
    said = [(words or {}).get(edge.how, _EITHER.get(edge.how, "")), edge.doubt] if edge else []
    doubt = terminal.plain("; ".join(word for word in said if word))
    return f"[dim]{node.kind}[/dim]  {shown}" + (f"  [yellow]({doubt})[/yellow]" if doubt else "")


def _words(node: Node) -> Iterator[str]:
    if node.kind in ("run", "code"):
        yield from (short_hash(node.id), node.name)
    elif node.kind == "logged model":
        yield from (node.name, node.id or "")
    else:
        yield from (node.name, short_hash(node.id) if node.id else "")
    yield from remarks(node)
