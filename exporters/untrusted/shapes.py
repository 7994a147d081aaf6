"""Table of the standard operators that are let in, each with a rule for its output shapes that trusts nothing.

ONNX's own inference is C++ that crashes on some contradictory nodes, and runtimes use the same code; so a node must
pass these rules before either sees it. One rule a kind of operator, one line an operator in the table of its file. A
rule gives one shape, or a list of them for an operator that may have several outputs.
"""

from __future__ import annotations

from collections.abc import Callable

from exporters.untrusted.node_view import NodeView, Shape
from exporters.untrusted.rules_arrange import ARRANGE
from exporters.untrusted.rules_choose import CHOOSE
from exporters.untrusted.rules_compute import COMPUTE
from exporters.untrusted.rules_spatial import SPATIAL

RULES: dict[str, Callable[[NodeView], Shape | list[Shape]]] = {**ARRANGE, **CHOOSE, **COMPUTE, **SPATIAL}
