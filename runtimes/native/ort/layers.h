/* Reading one layer: what its attributes and constants say, all of them validated. */
#ifndef CHITA_EDGE_ORT_LAYERS_H
#define CHITA_EDGE_ORT_LAYERS_H

#include "op.h"

/* Each answers 1, or 0 with a refusal in node->status. The source's allocator and activation are set; what is allocated is
 * freed by op_source_free in both cases. */
#define CE_OP(op) int read_##op(node*, layer_source*); /* but for conv_chain, whose stages are read one by one */
#include "../ops.inc"
#undef CE_OP

#endif
