/* What a sparse convolution remembers: its non-zeros in the order in which they are used. */
#ifndef CE_SPARSE_CONV_PLAN_H
#define CE_SPARSE_CONV_PLAN_H

#include "common/geometry.h"
#include "common/kernel.h"
#include "common/simd.h"
#include "sparse_conv/nonzeros.h"

/* Columns of a 1×1 convolution whose inputs are in L1 at a time; in L2 where several rows share each load. */
#define K_TILE(group) (128 * (group))
/* Input channels, with larger windows. Where a channel is copied once for each column of the window (sparse_conv/windows.h), few
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

#include "common/sort_rows.h"

#endif
