"""Layer-wise reconstruction: sparse weights whose outputs on pruned inputs are closest to the dense outputs."""

from chita_edge.pruning.reconstruction.admm import search_support
from chita_edge.pruning.reconstruction.layer_fit import LayerFit
from chita_edge.pruning.reconstruction.row_solve import RowSystems, solve_rows

__all__ = ["LayerFit", "RowSystems", "search_support", "solve_rows"]
