/* The weights of a q_conv as its kernels read them, which q_conv/pack.h makes: for each K tile and block row, its blocks' words
 * and columns.
 *
 * A word is four weights of an output channel, a column (in_channel / 4, kh, kw). A K tile is so many columns that the inputs
 * of a tile of pixels stay in the first-level cache. Dense weights are blocks of all columns, of several rows where the ISA
 * has the registers and gains by it.
 */
#ifndef CE_Q_CONV_PLAN_H
#define CE_Q_CONV_PLAN_H

#include "common/geometry.h"
#include "common/q_simd.h"
#include "common/q_words.h"

/* Vectors of inputs that are to stay in the first-level cache, and columns of a K tile. */
#ifndef CE_Q_CACHED
#define CE_Q_CACHED (48 * 1024 / CE_Q_VECTOR_BYTES)
#endif
#ifndef CE_Q_K_TILE
#define CE_Q_K_TILE (CE_LANES == 4 ? 256 : 160)
#endif
/* From so many blocks a row on, two chains of sums gain more than another vector that shares a word: measured, 4 to 15 % on
 * Emerald Rapids, and as much lost below. */
#define CE_Q_LONG_ROW 12
#define CE_Q_PAST_COLUMNS 8 /* bytes that may be read past them */
#define CE_Q_MOST_TAPS 256 /* columns of a K tile are numbered by bytes */

typedef struct plan_t {
  ce_plan_head head;
  ce_conv_geometry g;
  int32_t rows;     /* output channels of a block: 1, 2 or 4 */
  int32_t taps, columns, k_columns, k_tiles;
  int32_t groups;   /* of four output channels */
  int32_t x_zero;
  int32_t two_chains; /* whether sums have them */
  int32_t apart;      /* whether the columns of a K tile are numbered by rows of taps (apart_column) */
  ce_q_finish finish;
  const int32_t *words;   /* [blocks, rows] */
  const uint8_t *column;  /* [blocks] from the first of the K tile; or apart_column of that */
  const uint32_t *begin;  /* [k_tiles, groups * 4 / rows], and the end of the last: its first block */
  const uint32_t *alone;  /* likewise its first block without a partner (q_conv/pack.h); NULL where blocks have none */
  const uint32_t *row_at; /* [groups * 4 / rows] the block row that each place has; those of a group stay together */
  const uint8_t *turn;    /* [groups, 16] the shuffle that puts a group's bytes in order */
  const int32_t *base;    /* [groups * 4] by places: what a sum begins with: the bias, and what zero points make of the weights */
  const float *factor;    /* likewise */
  uint8_t table[256];
} plan_t;

static inline int32_t block_rows_of(const plan_t *plan) { return plan->groups * 4 / plan->rows; }

/* Whether sums have two chains (q_conv/tiles.h), by the number of all blocks. */
static int has_two_chains(const plan_t *plan, uint64_t blocks) {
  return CE_Q_TWO_CHAINS > 0 && plan->rows == 1 && blocks >= CE_Q_LONG_ROW * (uint64_t)plan->k_tiles * (uint64_t)block_rows_of(plan);
}

/* Windows of 3x3 and stride 1, whose three rows of taps may read one copy of the inputs (q_conv/panel.h): a column's byte is
 * kh Q + 3 g + kw then, of group g of its K tile, which has Q = k_columns / 3 columns of each row of taps. */
static int is_apart(const ce_conv_geometry *g) {
  const int usual = g->kernel_h == 3 && g->kernel_w == 3 && g->stride_h == 1 && g->stride_w == 1;
  return CE_LANES >= 8 && usual && g->dilation_h == 1 && g->dilation_w == 1;
}

static inline int64_t apart_column(const plan_t *plan, int64_t column) {
  return column % 9 / 3 * (plan->k_columns / 3) + column / 9 * 3 + column % 3;
}

/* All of the plan but its arrays. */
static plan_t shape_plan(const ce_q_conv_desc *desc) {
  plan_t plan = {.g = desc->geometry, .x_zero = desc->x.zero};
  const ce_conv_geometry *g = &plan.g;
  plan.taps = g->kernel_h * g->kernel_w;
  plan.groups = (int32_t)ce_q_groups(g->out_channels);
  const int32_t in_groups = (int32_t)ce_q_groups(g->in_channels);
  plan.columns = in_groups * plan.taps;
#if defined(CE_Q_PAIRS_SATURATE) /* a row each: of both, more blocks would have to be split, and fewer find a partner */
  plan.rows = 1;
#else
  plan.rows = desc->block_rows ? desc->block_rows : CE_Q_DENSE_ROWS;
#endif
  const int32_t most = (int32_t)ce_max(1, CE_Q_K_TILE / plan.taps);
  const int32_t tiles = (in_groups + most - 1) / most;
  plan.k_columns = (in_groups + tiles - 1) / tiles * plan.taps;
  plan.k_tiles = (plan.columns + plan.k_columns - 1) / plan.k_columns;
  plan.apart = is_apart(g);
  return plan;
}

/* Blocks of a row of the plan, in ascending columns: [at, end) of desc's, or, of dense weights, columns. */
typedef struct row_t {
  int64_t at, end;
} row_t;

static row_t row_of(const ce_q_conv_desc *desc, const plan_t *plan, int64_t block_row) {
  if (block_row * plan->rows >= plan->g.out_channels) return (row_t){0, 0};
  if (!desc->block_rows) return (row_t){0, plan->columns};
  const int64_t row = block_row * plan->rows / desc->block_rows;
  return (row_t){desc->row_ptr[row], desc->row_ptr[row + 1]};
}

static int64_t column_at(const ce_q_conv_desc *desc, int64_t at) { return desc->block_rows ? desc->col_idx[at] : at; }

/* The word of the row's output channel `i` in its block `at`. */
static uint32_t word_at(const ce_q_conv_desc *desc, const plan_t *plan, int64_t block_row, int64_t at, int32_t i) {
  const int64_t row = block_row * plan->rows + i;
  if (desc->block_rows) return ce_q_word(desc->values + (at * desc->block_rows + (row & (desc->block_rows - 1))) * 4);
  const int64_t channels = plan->g.in_channels;
  if (row >= plan->g.out_channels) return 0;
  const int8_t *values = desc->values + row * channels * plan->taps;
  if (plan->taps == 1 && 4 * at + 4 <= channels) return ce_q_word(values + 4 * at);
  const uint32_t taps = (uint32_t)plan->taps, channel = (uint32_t)at / taps * 4, tap = (uint32_t)at % taps;
  int8_t weight[4] = {0};
  for (int64_t c = 0; c < 4 && channel + c < channels; ++c) weight[c] = values[(channel + c) * taps + tap];
  return ce_q_word(weight);
}

#endif
