import pytest

import runtimes
from chita_edge.export_decision import decide_for
from exporters import LayerInfo


def _layer(sparsity: float) -> LayerInfo:
    nnz = round(256 * 256 * (1 - sparsity))
    return LayerInfo("features.7.1.0", "CsrConv", 256, 256, (1, 1), (1, 1), 196, nnz, sparsity)


@pytest.mark.parametrize("target", sorted(runtimes.TARGETS))
def test_a_layer_is_sparse_from_the_break_even_on(target: str) -> None:
    decide = decide_for(runtimes.get_target(target))
    decisions = [decide(_layer(percent / 100)) for percent in range(0, 100, 5)]
    # Once it pays it goes on paying, and it does pay at the sparsities that this project is for.
    assert [d.sparse for d in decisions] == sorted(d.sparse for d in decisions)
    assert decisions[-1].sparse
    assert not decisions[0].sparse


def test_the_reason_names_sparsity_break_even_and_target() -> None:
    decide = decide_for(runtimes.get_target("arm64"))
    assert "80% zeros; sparse pays from" in decide(_layer(0.8)).reason
    assert "would pay only from" in decide(_layer(0.0)).reason
    assert "arm64" in decide(_layer(0.8)).reason
