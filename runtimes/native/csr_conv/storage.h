/* The rows of a CSR matrix, or of one of blocks of output channels (CE_BLOCKS), become the plan of a sparse convolution. */
#ifndef CE_CSR_CONV_STORAGE_H
#define CE_CSR_CONV_STORAGE_H

#include "common/values.h"
#include "sparse_conv/plan.h"

static size_t plan_bytes(const void *desc_) {
  const ce_csr_conv_desc *desc = desc_;
  const ce_conv_geometry *g = &desc->geometry;
  const int32_t block = BLOCK_OF(desc_), group = group_of(block);
  if ((int64_t)g->kernel_h * g->kernel_w * channel_tile(g, group) > MOST_COLUMNS || !ce_usual_stride(g)) return 0;
  const size_t outs = (size_t)g->out_channels, m = outs / (size_t)group, k_tiles = (size_t)k_tile_count(g, group);
  const size_t nnz = (size_t)desc->row_ptr[outs / (size_t)block] * (size_t)(block / group);
  return ce_round_up(sizeof(plan_t), 64) + after_plan(k_tiles, m, outs, nnz, group);
}

/* First position in [from, end) of a row's ascending columns that is not below column. */
static int32_t lower_bound(const int32_t *col_idx, int32_t from, int32_t end, int64_t column) {
  while (from < end) {
    const int32_t middle = from + (end - from) / 2;
    if (col_idx[middle] < column) from = middle + 1;
    else end = middle;
  }
  return from;
}

/* Non-zeros of the plan's rows before `row`; a row of the file is `split` rows of the plan. */
static inline int64_t nnz_before(const ce_csr_conv_desc *desc, int32_t row, int32_t split) {
  const int32_t own = row / split, part = row % split;
  return (int64_t)desc->row_ptr[own] * split + (part ? (int64_t)(desc->row_ptr[own + 1] - desc->row_ptr[own]) * part : 0);
}

static void split_blocks(plan_t *plan, const ce_csr_conv_desc *desc, int32_t split) {
  const int32_t m = plan->csr_rows;
  plan->blocks = (int32_t)ce_min(MAX_BLOCKS, ce_ceil_div(plan->g.out_channels, ROWS_A_BLOCK));
  plan->blocks = (int32_t)ce_min(plan->blocks, m);
  /* A row costs about as much as a few non-zeros besides its own. */
  const int64_t total = nnz_before(desc, m, split) + (int64_t)4 * m;
  int32_t row = 0;
  for (int32_t b = 0; b <= plan->blocks; ++b) {
    while (row < m && (nnz_before(desc, row, split) + (int64_t)4 * row) * plan->blocks < total * b) ++row;
    plan->block_start[b] = b == plan->blocks ? m : row;
  }
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_csr_conv_desc *desc = desc_;
  plan->g = desc->geometry;
  const int32_t block = BLOCK_OF(desc_), group = group_of(block), split = block / group, outs = plan->g.out_channels;
  plan->group = group, plan->csr_rows = outs / group;
  const int32_t m = plan->csr_rows;
  const size_t nnz = (size_t)nnz_before(desc, m, split);
  plan->clip_min = desc->clip_min, plan->clip_max = desc->clip_max, plan->activation = desc->activation;
  plan->taps = plan->g.kernel_h * plan->g.kernel_w;
  plan->channel_tile = channel_tile(&plan->g, plan->group);
  plan->k_tiles = k_tile_count(&plan->g, plan->group);
  const int64_t columns = (int64_t)plan->channel_tile * plan->taps; /* of a K tile */
  split_blocks(plan, desc, split);
  place_after_plan(plan, nnz, desc->bias);

  uint32_t used = 0;
  for (int32_t t = 0; t < plan->k_tiles; ++t)
    for (int32_t b = 0; b < plan->blocks; ++b) {
      row_t *rows = plan->rows + (size_t)t * m + plan->block_start[b];
      const int32_t count = plan->block_start[b + 1] - plan->block_start[b];
      plan->starts[t * plan->blocks + b] = used;
      for (int32_t i = 0; i < count; ++i) {
        const int32_t row = plan->block_start[b] + i, end = desc->row_ptr[row / split + 1];
        const int32_t first = lower_bound(desc->col_idx, desc->row_ptr[row / split], end, t * columns);
        rows[i].row = (uint32_t)row;
        rows[i].count = (uint32_t)(lower_bound(desc->col_idx, first, end, (t + 1) * columns) - first);
      }
      sort_by_falling_count(rows, count);
      for (int32_t i = 0; i < count; ++i) {
        const int32_t row = (int32_t)rows[i].row, own = row / split;
        const int32_t first = lower_bound(desc->col_idx, desc->row_ptr[own], desc->row_ptr[own + 1], t * columns);
        for (uint32_t j = 0; j < rows[i].count; ++j, ++used) {
          const int64_t from = ((int64_t)first + j) * block + row % split * group;
          float values[MOST_GROUP];
          for (int32_t r = 0; r < group; ++r) values[r] = ce_value(desc->values, desc->dtypes, from + r);
          put_nonzero(&plan->nonzeros, used, values, group, desc->col_idx[first + (int32_t)j] - t * columns);
        }
      }
    }
}

#endif
