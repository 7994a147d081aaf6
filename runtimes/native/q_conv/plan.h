/* The weights of a q_conv as its kernels read them: for each K tile and block row, its blocks' words and columns.
 *
 * A word is four weights of an output channel, a column (in_channel / 4, kh, kw). A K tile is so many columns that the inputs
 * of a tile of pixels stay in the first-level cache. Dense weights are blocks of all columns, of several rows where the ISA
 * has the registers.
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
#define CE_Q_K_TILE (CE_LANES == 16 ? 160 : 256)
#endif
#define CE_Q_PAST_COLUMNS 8 /* bytes that may be read past them */
#define CE_Q_MOST_TAPS 256 /* columns of a K tile are numbered by bytes */

typedef struct plan_t {
  ce_plan_head head;
  ce_conv_geometry g;
  int32_t rows;     /* output channels of a block: 1, 2 or 4 */
  int32_t taps, columns, k_columns, k_tiles;
  int32_t groups;   /* of four output channels */
  int32_t x_zero;
  ce_q_finish finish;
  const int32_t *words;   /* [blocks, rows] */
  const uint8_t *column;  /* [blocks] from the first of the K tile */
  const uint32_t *begin;  /* [k_tiles, groups * 4 / rows], and the end of the last: its first block */
  const int32_t *base;    /* [groups * 4] what a sum begins with: the bias, and what zero points make of the weights */
  const float *factor;    /* [groups * 4] */
  uint8_t table[256];
} plan_t;

static inline int32_t block_rows_of(const plan_t *plan) { return plan->groups * 4 / plan->rows; }

/* All of the plan but its arrays. */
static plan_t shape_plan(const ce_q_conv_desc *desc) {
  plan_t plan = {.g = desc->geometry, .x_zero = desc->x.zero};
  const ce_conv_geometry *g = &plan.g;
  plan.taps = g->kernel_h * g->kernel_w;
  plan.groups = (int32_t)ce_q_groups(g->out_channels);
  const int32_t in_groups = (int32_t)ce_q_groups(g->in_channels);
  plan.columns = in_groups * plan.taps;
  plan.rows = desc->block_rows ? desc->block_rows : CE_Q_DENSE_ROWS;
  const int32_t most = (int32_t)ce_max(1, CE_Q_K_TILE / plan.taps);
  const int32_t tiles = (in_groups + most - 1) / most;
  plan.k_columns = (in_groups + tiles - 1) / tiles * plan.taps;
  plan.k_tiles = (plan.columns + plan.k_columns - 1) / plan.k_columns;
  return plan;
}

/* The weights of a block of the plan: those of `rows` output channels from `row` on at a column, as bytes of words. */
typedef struct block_t {
  int8_t weight[4][4];
} block_t;

static block_t dense_block(const ce_q_conv_desc *desc, const plan_t *plan, int64_t row, int64_t column) {
  block_t block = {{{0}}};
  const ce_conv_geometry *g = &plan->g;
  const int64_t channel = column / plan->taps * 4, tap = column % plan->taps;
  for (int64_t r = 0; r < plan->rows && row + r < g->out_channels; ++r)
    for (int64_t c = 0; c < 4 && channel + c < g->in_channels; ++c)
      block.weight[r][c] = desc->values[((row + r) * g->in_channels + channel + c) * plan->taps + tap];
  return block;
}

static block_t sparse_block(const ce_q_conv_desc *desc, const plan_t *plan, int64_t index) {
  block_t block = {{{0}}};
  for (int64_t r = 0; r < plan->rows; ++r)
    for (int64_t c = 0; c < 4; ++c) block.weight[r][c] = desc->values[(index * plan->rows + r) * 4 + c];
  return block;
}

/* Blocks of a row of the plan, in ascending columns; `at` is where the next one is. */
typedef struct row_t {
  int64_t at, end;
} row_t;

static row_t row_of(const ce_q_conv_desc *desc, const plan_t *plan, int64_t block_row) {
  if (!desc->block_rows) return (row_t){0, block_row * plan->rows < plan->g.out_channels ? plan->columns : 0};
  if (block_row * plan->rows >= plan->g.out_channels) return (row_t){0, 0};
  return (row_t){desc->row_ptr[block_row], desc->row_ptr[block_row + 1]};
}

static int64_t column_at(const ce_q_conv_desc *desc, int64_t at) { return desc->block_rows ? desc->col_idx[at] : at; }

static block_t block_at(const ce_q_conv_desc *desc, const plan_t *plan, int64_t block_row, int64_t at) {
  return desc->block_rows ? sparse_block(desc, plan, at) : dense_block(desc, plan, block_row * plan->rows, at);
}

/* Words that all blocks take, with those that the ISA has to split. */
static int64_t count_blocks(const ce_q_conv_desc *desc, const plan_t *plan) {
  int64_t count = 0;
  for (int64_t r = 0; r < block_rows_of(plan); ++r)
    for (row_t row = row_of(desc, plan, r); row.at < row.end; ++row.at) {
      const block_t block = block_at(desc, plan, r, row.at);
      count += 1 + ce_q_must_split(block.weight, plan->rows);
    }
  return count;
}

static size_t plan_bytes(const void *desc_) {
  const ce_q_conv_desc *desc = desc_;
  const int64_t taps = (int64_t)desc->geometry.kernel_h * desc->geometry.kernel_w;
  if (!ce_usual_stride(&desc->geometry) || taps > CE_Q_MOST_TAPS) return 0;
  const plan_t plan = shape_plan(desc);
  const size_t blocks = (size_t)count_blocks(desc, &plan);
  return sizeof(plan_t) + blocks * (4 * (size_t)plan.rows + 1) + CE_Q_PAST_COLUMNS +
         4 * ((size_t)(plan.k_tiles * block_rows_of(&plan)) + 1 + 8 * (size_t)plan.groups);
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_conv_desc *desc = desc_;
  const ce_plan_head head = plan->head;
  *plan = shape_plan(desc);
  plan->head = head;
  plan->finish = ce_q_finish_of(desc);
  for (int i = 0; i < 256 && desc->table; ++i) plan->table[i] = desc->table[i];
  if (desc->table) plan->finish.table = plan->table;
  const int64_t rows = plan->groups * 4, block_rows = block_rows_of(plan), blocks = count_blocks(desc, plan);
  int32_t *base = (int32_t *)(plan + 1), *words = base + 2 * rows;
  float *factor = (float *)(base + rows);
  uint32_t *begin = (uint32_t *)(words + blocks * plan->rows);
  uint8_t *column = (uint8_t *)(begin + plan->k_tiles * block_rows + 1);
  for (int64_t m = 0; m < rows; ++m) {
    const int real = m < plan->g.out_channels;
    base[m] = real ? desc->bias[m] : 0;
    factor[m] = real ? ce_q_factor(desc->x.scale, desc->w_scale[m], desc->y.scale) : 0;
  }
  uint32_t next = 0;
  for (int64_t tile = 0; tile < plan->k_tiles; ++tile)
    for (int64_t r = 0; r < block_rows; ++r) {
      begin[tile * block_rows + r] = next;
      row_t row = row_of(desc, plan, r);
      while (row.at < row.end && column_at(desc, row.at) < tile * plan->k_columns) ++row.at;
      for (; row.at < row.end && column_at(desc, row.at) < (tile + 1) * plan->k_columns; ++row.at) {
        const block_t block = block_at(desc, plan, r, row.at);
        for (int32_t i = 0; i < plan->rows; ++i) {
          int32_t sum = 0;
          for (int c = 0; c < 4; ++c) sum += block.weight[i][c];
          base[r * plan->rows + i] -= (plan->x_zero - CE_Q_FLIP) * sum;
        }
        const int pieces = 1 + ce_q_must_split(block.weight, plan->rows);
        for (int piece = 0; piece < pieces; ++piece, ++next) {
          column[next] = (uint8_t)(column_at(desc, row.at) - tile * plan->k_columns);
          for (int32_t i = 0; i < plan->rows; ++i)
            words[next * (uint32_t)plan->rows + (uint32_t)i] = ce_q_word_of(block.weight[i], piece, pieces);
        }
      }
    }
  begin[plan->k_tiles * block_rows] = next;
  plan->words = words, plan->column = column, plan->begin = begin, plan->base = base, plan->factor = factor;
}

#endif
