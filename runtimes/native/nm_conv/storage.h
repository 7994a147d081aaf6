/* N:M weights become the plan of a sparse convolution; empty slots are left out. */
#ifndef CE_NM_CONV_STORAGE_H
#define CE_NM_CONV_STORAGE_H

#include "common/nm.h"
#include "common/values.h"
#include "sparse_conv/plan.h"

/* How many non-zeros a row has in a K tile; they become those from `at` on in `nonzeros`, unless that is NULL. */
static uint32_t take_row(const ce_nm_conv_desc *desc, int64_t row, int64_t first, int64_t end, nonzeros_t *nonzeros,
                         size_t at) {
  const ce_nm_weight *w = &desc->weight;
  const int bits = ce_nm_bits(w->m);
  const int64_t taps = (int64_t)desc->geometry.kernel_h * desc->geometry.kernel_w, of_group = taps * w->n;
  const int64_t groups = ce_nm_groups(desc->geometry.in_channels, w->m);
  uint32_t count = 0;
  for (int64_t group = first / w->m; group * w->m < end; ++group)
    for (int64_t i = 0; i < of_group; ++i) {
      const int64_t slot = (row * groups + group) * of_group + i;
      const float value = ce_value(w->values, desc->dtypes, slot);
      const int64_t channel = group * w->m + ce_nm_channel(w->index, bits, slot);
      if (value == 0 || channel < first || channel >= end) continue;
      if (nonzeros) put_nonzero(nonzeros, at + count, &value, 1, (channel - first) * taps + i / w->n);
      ++count;
    }
  return count;
}

static size_t plan_bytes(const void *desc_) {
  const ce_nm_conv_desc *desc = desc_;
  const ce_conv_geometry *g = &desc->geometry;
  if ((int64_t)g->kernel_h * g->kernel_w * channel_tile(g, 1) > MOST_COLUMNS || !ce_usual_stride(g)) return 0;
  const size_t m = (size_t)g->out_channels, k_tiles = (size_t)k_tile_count(g, 1);
  size_t nnz = 0;
  for (int32_t row = 0; row < g->out_channels; ++row) nnz += take_row(desc, row, 0, g->in_channels, 0, 0);
  return ce_round_up(sizeof(plan_t), 64) + after_plan(k_tiles, m, m, nnz, 1);
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_nm_conv_desc *desc = desc_;
  plan->g = desc->geometry;
  const int32_t m = plan->g.out_channels;
  plan->group = 1, plan->csr_rows = m;
  plan->clip_min = desc->clip_min, plan->clip_max = desc->clip_max, plan->activation = desc->activation;
  plan->taps = plan->g.kernel_h * plan->g.kernel_w;
  plan->channel_tile = channel_tile(&plan->g, 1);
  plan->k_tiles = k_tile_count(&plan->g, 1);
  plan->blocks = (int32_t)ce_min(MAX_BLOCKS, ce_ceil_div(m, ROWS_A_BLOCK));
  /* Rows have about the same number of non-zeros. */
  for (int32_t b = 0; b <= plan->blocks; ++b) plan->block_start[b] = (int32_t)((int64_t)m * b / plan->blocks);
  size_t nnz = 0;
  for (int32_t row = 0; row < m; ++row) nnz += take_row(desc, row, 0, plan->g.in_channels, 0, 0);
  place_after_plan(plan, nnz, desc->bias);

  nnz = 0;
  for (int32_t t = 0; t < plan->k_tiles; ++t)
    for (int32_t b = 0; b < plan->blocks; ++b) {
      row_t *rows = plan->rows + (size_t)t * m;
      plan->starts[t * plan->blocks + b] = (uint32_t)nnz;
      for (int32_t i = plan->block_start[b]; i < plan->block_start[b + 1]; ++i) {
        const int64_t first = (int64_t)t * plan->channel_tile, end = ce_min(first + plan->channel_tile, plan->g.in_channels);
        rows[i] = (row_t){(uint32_t)i, take_row(desc, i, first, end, 0, 0)};
        nnz += rows[i].count;
      }
      sort_by_falling_count(rows + plan->block_start[b], plan->block_start[b + 1] - plan->block_start[b]);
    }
  size_t used = 0;
  for (int32_t t = 0; t < plan->k_tiles; ++t)
    for (int32_t i = 0; i < m; ++i) {
      const row_t *row = plan->rows + (size_t)t * m + i;
      const int64_t first = (int64_t)t * plan->channel_tile, end = ce_min(first + plan->channel_tile, plan->g.in_channels);
      used += take_row(desc, row->row, first, end, &plan->nonzeros, used);
    }
}

#endif
