"""The inputs of a PromQL expression: the metrics, the matchers of their labels, and the labels that it groups by."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import promql_parser


@dataclass(slots=True)
class Reads:
    """The inputs of one expression.

    Attributes:
        matchers: per selector, metric and its matchers (label, whether it is a regular expression, wanted text).
        grouping: the labels of ``by`` or ``without``, of ``on`` or ``ignoring``, and of ``group_left``.
    """

    matchers: list[tuple[str, list[tuple[str, bool, str]]]] = field(default_factory=list)
    grouping: set[str] = field(default_factory=set)

    @property
    def metrics(self) -> set[str]:
        return {metric for metric, _ in self.matchers}


def reads(expression: str) -> Reads:
    """Returns what the expression reads; Grafana's interval stands for five minutes.

    Raises:
        ValueError: it is no PromQL.
    """
    found = Reads()
    _visit(promql_parser.parse(expression.replace("$__rate_interval", "5m")), found)
    return found


def _visit(node: Any, found: Reads) -> None:
    match type(node).__name__:
        case "VectorSelector":
            pairs = [
                (each.name, each.op in (promql_parser.MatchOp.Re, promql_parser.MatchOp.NotRe), each.value)
                for each in node.matchers.matchers
            ]
            assert node.name, f"a selector without a metric: {node.prettify()}"
            found.matchers.append((node.name, pairs))
        case "MatrixSelector":
            _visit(node.vector_selector, found)
        case "AggregateExpr":
            if node.modifier is not None:
                found.grouping.update(node.modifier.labels)
            _visit(node.expr, found)
        case "BinaryExpr":
            if node.modifier is not None:
                matching = node.modifier.matching
                found.grouping.update(
                    matching.labels if matching is not None else (), node.modifier.group_labels or ()
                )
            _visit(node.lhs, found)
            _visit(node.rhs, found)
        case "Call":
            for argument in node.args:
                _visit(argument, found)
        case "ParenExpr" | "UnaryExpr" | "SubqueryExpr":
            _visit(node.expr, found)
        case "NumberLiteral" | "StringLiteral":
            pass
        case other:
            raise AssertionError(f"an expression of kind {other} is not looked into: {node.prettify()}")


def matches(is_regex: bool, text: str, values: set[str]) -> bool:
    """True where one of the values meets a matcher."""
    return any(re.fullmatch(text, value) if is_regex else text == value for value in values)
