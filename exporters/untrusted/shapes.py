"""Table of the standard operators, each with a rule for its output shapes that trusts nothing, or a reason against it.

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
from exporters.untrusted.rules_signals import SIGNALS, deform_columns
from exporters.untrusted.rules_spatial import SPATIAL
from exporters.untrusted.rules_tokens import TOKENS, attention_scores

RULES: dict[str, Callable[[NodeView], Shape | list[Shape]]] = {
    **ARRANGE,
    **CHOOSE,
    **COMPUTE,
    **SIGNALS,
    **SPATIAL,
    **TOKENS,
}

INNER: dict[str, Callable[[NodeView], Shape]] = {"Attention": attention_scores, "DeformConv": deform_columns}
"""What a runtime makes inside a node and that may be far larger than the node's outputs."""

_GRAPHS = "as nothing bounds what its graphs make; export the network without control flow"
_LISTS = "as it is of lists of tensors; export the network with the tensors themselves"
_TEXTS = "as it is of texts; prepare them before the network"
_SEQUENCES = ("At", "Construct", "Empty", "Erase", "Insert", "Length")
WHY_NOT: dict[str, str] = {
    **dict.fromkeys(("If", "Loop", "Scan", "SequenceMap"), _GRAPHS),
    **dict.fromkeys(("ConcatFromSequence", "SplitToSequence", *(f"Sequence{name}" for name in _SEQUENCES)), _LISTS),
    **dict.fromkeys(("Optional", "OptionalGetElement", "OptionalHasElement"), _LISTS),
    **dict.fromkeys(("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer"), _TEXTS),
    "ImageDecoder": "as the size of what it makes is in the picture; decode it before the network",
}
"""The reason for each standard operator that is not let in."""
