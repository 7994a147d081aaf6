/* Reading one layer: what its attributes and constants say, all of them validated. */
#ifndef CHITA_EDGE_ORT_LAYERS_H
#define CHITA_EDGE_ORT_LAYERS_H

#include "op.h"

/* Each answers 1, or 0 with a refusal in node->status. The source's allocator and activation are set; what is allocated is
 * freed by op_source_free in both cases. */
int read_csr_conv(node*, layer_source*);
int read_block_csr_conv(node*, layer_source*);
int read_nm_conv(node*, layer_source*);
int read_csr_gemm(node*, layer_source*);
int read_nm_gemm(node*, layer_source*);
int read_depthwise_conv(node*, layer_source*);
int read_dense_conv(node*, layer_source*);
int read_global_average_pool(node*, layer_source*);

#endif
