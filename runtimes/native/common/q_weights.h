/* Weights of q_conv, q_depthwise_conv and q_gemm as a reference kernel keeps them: copies of what its desc points to. */
#ifndef CE_COMMON_Q_WEIGHTS_H
#define CE_COMMON_Q_WEIGHTS_H

#include "common/quantized.h"

typedef struct ce_q_weights {
  int32_t rows, columns, block_rows; /* columns: of a dense row */
  const int8_t *values;
  const int32_t *col_idx, *row_ptr, *bias;
  const float *factor; /* of a row's sum */
} ce_q_weights;

static inline size_t ce_q_block_rows_of(const ce_q_weights *w) {
  return w->block_rows ? (size_t)ce_ceil_div(w->rows, w->block_rows) : 0;
}

static inline size_t ce_q_blocks_of(const ce_q_weights *w) {
  return w->block_rows ? (size_t)w->row_ptr[ce_q_block_rows_of(w)] : 0;
}

static inline size_t ce_q_value_count(const ce_q_weights *w) {
  return w->block_rows ? ce_q_blocks_of(w) * w->block_rows * CE_Q_GROUP : (size_t)w->rows * w->columns;
}

static inline size_t ce_q_weights_bytes(const ce_q_weights *w) {
  return 4 * (2 * (size_t)w->rows + ce_q_blocks_of(w) + ce_q_block_rows_of(w) + 1) + ce_q_value_count(w);
}

/* `from` with factors that are w_scale; y_scale 1 leaves them x_scale * w_scale. */
static inline ce_q_weights ce_q_keep_weights(const ce_q_weights *from, float x_scale, float y_scale, void *memory) {
  const size_t rows = (size_t)from->rows, blocks = ce_q_blocks_of(from), block_rows = ce_q_block_rows_of(from);
  float *factor = memory;
  int32_t *bias = (int32_t *)(factor + rows), *row_ptr = bias + rows, *col_idx = row_ptr + block_rows + 1;
  int8_t *values = (int8_t *)(col_idx + blocks);
  for (size_t i = 0; i < rows; ++i) factor[i] = ce_q_factor(x_scale, from->factor[i], y_scale), bias[i] = from->bias[i];
  for (size_t i = 0; i <= block_rows && from->block_rows; ++i) row_ptr[i] = from->row_ptr[i];
  for (size_t i = 0; i < blocks; ++i) col_idx[i] = from->col_idx[i];
  for (size_t i = 0; i < ce_q_value_count(from); ++i) values[i] = from->values[i];
  return (ce_q_weights){from->rows, from->columns, from->block_rows, values, col_idx, row_ptr, bias, factor};
}

#endif
