/* Reading one layer: what its attributes and constants say, all of them validated. */
#ifndef CHITA_EDGE_ORT_LAYERS_H
#define CHITA_EDGE_ORT_LAYERS_H

#include "op.h"

/* Each answers 1, or 0 with a refusal in node->status. The source's allocator and activation are set; what is allocated is
 * freed by op_source_free in both cases. */
#define CE_OP(op, dtype) int read_##op(node*, layer_source*); /* but for conv_chain and the q_ ops: q_layers.h */
#include "../ops.inc"
#undef CE_OP

/* The dimensions of a window from the attributes and its weight's. */
int layer_geometry(node*, const csr_dims*, int64_t in_channels, ce_conv_geometry* out);
/* Widens the columns of validated weights to the int32 that kernels read: source->columns. */
int layer_columns(node*, layer_source*, const csr_arrays*);

#endif
