"""The graph that lineage answers with; edges lead from what was to what came of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["source", "data", "stage", "code", "run", "logged model", "model version"]
How = Literal[
    "imported", "made", "read", "saw", "part of", "holds", "same content", "code of", "ran",
    "logged", "registered",
]  # fmt: skip


@dataclass(frozen=True)
class Node:
    """One thing. ``key`` is its name within the graph, ``name`` the one for people.

    ``id`` is the hash of data as DVC writes it, the commit of code, the id of a run or a logged
    model; None where it is not known, or there is no such thing. ``facts`` tells more, by name.
    """

    key: str
    kind: Kind
    name: str
    id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Edge:
    """``end`` came of ``start``; both are keys of nodes.

    ``how`` is the verb between them: a stage or run ``read`` data and ``made`` data, a run ``saw``
    data that only lay there, code ``ran``, a model was ``logged`` and ``registered``. ``doubt``
    says why that is no fact; empty where it is one.
    """

    start: str
    end: str
    how: How
    doubt: str = ""


@dataclass(frozen=True)
class Lineage:
    """Where ``what`` came from, and what came of it. Falsy where nothing is known of it.

    ``subjects`` are the keys of the nodes that ``what`` names: several where a path had several
    contents. ``warnings`` says in words what is not known.
    """

    what: str
    subjects: tuple[str, ...] = ()
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    warnings: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.edges)

    @property
    def above(self) -> set[str]:
        """The keys of all that the subjects came from, their own among them."""
        before: dict[str, list[str]] = {}
        for edge in self.edges:
            before.setdefault(edge.end, []).append(edge.start)
        return _reached(self.subjects, before)


class GraphBuilder:
    """A graph in the making."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: dict[tuple[str, str], Edge] = {}
        self._warnings: dict[tuple[str, str], None] = {}
        self._before: dict[str, list[str]] = {}
        self._after: dict[str, list[str]] = {}
        self._barred: set[tuple[str, str]] = set()

    def add(self, node: Node) -> str:
        """Its key. What is known of a node already stays."""
        self.nodes.setdefault(node.key, node)
        return node.key

    def link(self, start: str, end: str, how: How, doubt: str = "") -> None:
        """A fact takes the place of a doubtful edge, not the other way round."""
        if (start, end) in self._barred:
            return
        known = self.edges.get((start, end))
        if known is None:
            self._before.setdefault(end, []).append(start)
            self._after.setdefault(start, []).append(end)
        if known is None or (known.doubt and not doubt):
            self.edges[start, end] = Edge(start, end, how, doubt)

    def bar(self, start: str, end: str) -> None:
        """``end`` came of ``start``, but not of that in it which is asked for."""
        self._barred.add((start, end))
        if self.edges.pop((start, end), None):
            self._after[start].remove(end)
            self._before[end].remove(start)

    def warn(self, warning: str, key: str = "") -> None:
        """``key`` is that of the node that it is about, if it is about one."""
        self._warnings[key, warning] = None

    def before(self, keys: Iterable[str]) -> set[str]:
        """``keys``, and all that they came from."""
        return _reached(keys, self._before)

    def after(self, keys: Iterable[str]) -> set[str]:
        """``keys``, and all that came of them."""
        return _reached(keys, self._after)

    def about(self, what: str, subjects: Sequence[str]) -> Lineage:
        """What of the graph has to do with ``subjects``."""
        kept = self.before(subjects) | self.after(subjects)
        return Lineage(
            what,
            tuple(subjects),
            tuple(node for key, node in self.nodes.items() if key in kept),
            tuple(edge for edge in self.edges.values() if edge.start in kept and edge.end in kept),
            tuple(warning for key, warning in self._warnings if not key or key in kept),
        )


def _reached(keys: Iterable[str], next_of: Mapping[str, Sequence[str]]) -> set[str]:
    reached = set(keys)
    pending = deque(reached)
    while pending:
        for key in next_of.get(pending.popleft(), ()):
            if key not in reached:
                reached.add(key)
                pending.append(key)
    return reached
