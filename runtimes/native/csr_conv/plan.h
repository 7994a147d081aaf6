/* What a sparse convolution remembers: its non-zeros in the order in which they are used. */
#ifndef CE_CSR_CONV_PLAN_H
#define CE_CSR_CONV_PLAN_H

#include "common/geometry.h"
#include "common/kernel.h"
#include "common/simd.h"
#include "csr_conv/nonzeros.h"

/* Columns of a 1×1 convolution whose inputs are in L1 at a time; in L2 where several rows share each load. */
#define K_TILE(group) (128 * (group))
/* Input channels, with larger windows. Where a channel is copied once for each column of the window (csr_conv/windows.h), few
 * of them fit L1; layers of few channels have large images, of which a tile needs more. */
#if defined(CE_MASKED_LOADS)
#define CHANNEL_TILE(channels) ((channels) <= 32 ? 8 : 16)
#else
#define CHANNEL_TILE(channels) 32
#endif
#define MOST_COLUMNS 65536 /* of a K tile: an index is 16 bits */
#define MAX_BLOCKS 8
#define ROWS_A_BLOCK 128

/* A row of the CSR is the group of output rows that share its columns: block_csr_conv.c compiles these sources with
 * CE_BLOCKS. With 16 registers a block of 4 rows is run as two of 2: sums of 4 rows in tiles wide enough would not fit. */
#if defined(CE_BLOCKS)
#if CE_REGISTERS == 32
#define MOST_GROUP 4
#else
#define MOST_GROUP 2
#endif
#define BLOCK_OF(desc) (((const ce_block_csr_conv_desc *)(desc))->block_rows)
#else
#define MOST_GROUP 1
#define BLOCK_OF(desc) ((void)(desc), 1)
#endif

/* One row of the CSR within one K tile. */
typedef struct row_t {
  uint32_t row, count;
} row_t;

typedef struct plan_t {
  ce_plan_head head;
  ce_conv_geometry g;
  float clip_min, clip_max;
  int32_t activation, taps, channel_tile, k_tiles, blocks;
  int32_t group, csr_rows; /* output channels are group * csr_rows */
  int32_t block_start[MAX_BLOCKS + 1]; /* CSR rows; blocks of about equal nnz, the unit of work that is split over threads */
  const float *bias;
  row_t *rows;      /* [k_tiles][csr_rows]: the rows of each block by falling count */
  uint32_t *starts; /* [k_tiles][blocks]: where a block's non-zeros begin */
  nonzeros_t nonzeros;
} plan_t;

/* What follows plan_t: rows, starts, bias, non-zeros. */
static inline size_t after_plan(size_t k_tiles, size_t csr_rows, size_t outs, size_t nnz, int32_t group) {
  const size_t before = k_tiles * csr_rows * sizeof(row_t) + k_tiles * MAX_BLOCKS * sizeof(uint32_t);
  return before + ce_round_up(outs * sizeof(float), 8) + nnz * NONZERO_BYTES(group);
}

static inline void place_after_plan(plan_t *plan, size_t nnz, const float *bias) {
  plan->rows = (row_t *)((char *)plan + ce_round_up(sizeof(plan_t), 64));
  plan->starts = (uint32_t *)(plan->rows + (size_t)plan->k_tiles * (size_t)plan->csr_rows);
  float *own = (float *)(plan->starts + plan->k_tiles * MAX_BLOCKS);
  plan->bias = own;
  for (int32_t i = 0; i < plan->g.out_channels; ++i) own[i] = bias[i];
  plan->nonzeros = nonzeros_at((char *)own + ce_round_up((size_t)plan->g.out_channels * sizeof(float), 8), nnz, plan->group);
}

static inline int32_t group_of(int32_t block) { return (int32_t)ce_min(block, MOST_GROUP); }

static inline int32_t channel_tile(const ce_conv_geometry *g, int32_t group) {
  return g->kernel_h * g->kernel_w == 1 ? K_TILE(group) : CHANNEL_TILE(g->in_channels);
}

static inline int32_t k_tile_count(const ce_conv_geometry *g, int32_t group) {
  return (int32_t)ce_ceil_div(g->in_channels, channel_tile(g, group));
}

static void sort_by_falling_count(row_t *rows, int32_t n) {
  int32_t gap = 1;
  while (gap < n / 3) gap = gap * 3 + 1;
  for (; gap > 0; gap /= 3)
    for (int32_t i = gap; i < n; ++i) {
      const row_t moving = rows[i];
      int32_t j = i;
      for (; j >= gap && rows[j - gap].count < moving.count; j -= gap) rows[j] = rows[j - gap];
      rows[j] = moving;
    }
}

#if defined(CE_NM)
#include "nm_conv/plan.h"
#else
static size_t plan_bytes(const void *desc_) {
  const ce_csr_conv_desc *desc = desc_;
  const ce_conv_geometry *g = &desc->geometry;
  const int32_t block = BLOCK_OF(desc_), group = group_of(block);
  if ((int64_t)g->kernel_h * g->kernel_w * channel_tile(g, group) > MOST_COLUMNS || !ce_usual_stride(g)) return 0;
  if (sizeof(element) < 4 && desc->arithmetic != CE_FLOAT16) return 0;
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
          const float *from = desc->values + ((size_t)first + j) * (size_t)block + (size_t)(row % split * group);
          put_nonzero(&plan->nonzeros, used, from, group, desc->col_idx[first + (int32_t)j] - t * columns);
        }
      }
    }
}
#endif

#endif
