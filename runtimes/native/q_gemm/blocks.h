/* Rows of few blocks: their words alone are read, four at a time, with the four inputs that each of them meets.
 *
 * Rows are sorted by how many they have, and run two at a time, the shorter one filled up with zeros, so that the ends of their
 * loops are predicted. A dense matrix of which few blocks are left would take as long as it takes to read all of it. */
#ifndef CE_Q_GEMM_BLOCKS_H
#define CE_Q_GEMM_BLOCKS_H

#include "q_gemm/plan.h"

#define MOST_GROUPS 1024 /* of inputs, which are brought together on the stack */
#define MOST_QUADS (MOST_GROUPS / 4 + 1)

static int64_t blocks_of_row(const ce_q_gemm_desc *desc, int64_t row) {
  const int64_t at = row / desc->block_rows;
  return desc->row_ptr[at + 1] - desc->row_ptr[at];
}

static int64_t quads_of_row(const ce_q_gemm_desc *desc, int64_t row) { return ce_ceil_div(blocks_of_row(desc, row), 4); }

/* Whether at most a sixth of the blocks is there: measured on Zen 5, as fast as all of them at a fifth. */
static int keeps_blocks(const ce_q_gemm_desc *desc) {
  if (CE_LANES != 16 || !desc->block_rows || ce_q_groups(desc->in_features) > MOST_GROUPS) return 0;
  const int64_t rows = ce_ceil_div(desc->out_features, desc->block_rows);
  return 6 * (int64_t)desc->row_ptr[rows] <= rows * ce_q_groups(desc->in_features);
}

static int64_t pairs_of(const ce_q_gemm_desc *desc) { return ce_ceil_div(desc->out_features, 2); }

/* Quads of all rows, and what the shorter ones of pairs get: at most as many as the longest row has. */
static size_t most_quads(const ce_q_gemm_desc *desc) {
  int64_t all = 0, most = 0;
  for (int64_t row = 0; row < desc->out_features; ++row) {
    const int64_t own = quads_of_row(desc, row);
    all += own, most = ce_max(most, own);
  }
  return (size_t)(all + 2 * most);
}

static size_t blocks_bytes(const ce_q_gemm_desc *desc) {
  return most_quads(desc) * 24 + (size_t)pairs_of(desc) * 2 * 12 + 4 * ((size_t)pairs_of(desc) + 1);
}

/* Rows in the order of their quads; -1 for a last one that there is not. */
static void sort_rows(const ce_q_gemm_desc *desc, int32_t *row_at) {
  int32_t next[MOST_QUADS + 1] = {0};
  for (int64_t row = 0; row < desc->out_features; ++row) ++next[quads_of_row(desc, row) + 1];
  for (int i = 1; i <= MOST_QUADS; ++i) next[i] += next[i - 1];
  for (int32_t row = 0; row < desc->out_features; ++row) row_at[next[quads_of_row(desc, row)]++] = row;
  if (desc->out_features & 1) row_at[desc->out_features] = -1;
}

/* A pair's rows: `quads` of each in turns, words and columns. */
static void put_pair(const plan_t *plan, const ce_q_gemm_desc *desc, const int32_t *rows, int64_t quads, int32_t *words,
                     uint16_t *column, int32_t *base) {
  for (int64_t which = 0; which < 2; ++which) {
    const int64_t row = rows[which], own = row < 0 ? 0 : blocks_of_row(desc, row);
    const int64_t first = row < 0 ? 0 : desc->row_ptr[row / desc->block_rows];
    for (int64_t i = 0; i < 4 * quads; ++i) {
      const int64_t to = (i / 4 * 2 + which) * 4 + i % 4, at = first + i;
      words[to] = 0, column[to] = 0;
      if (i >= own) continue;
      const int8_t *weight = desc->values + (at * desc->block_rows + row % desc->block_rows) * 4;
      words[to] = (int32_t)ce_q_word(weight), column[to] = (uint16_t)desc->col_idx[at];
      for (int c = 0; c < 4; ++c) base[which] -= plan->from_zero * weight[c];
    }
  }
}

static void init_blocks(plan_t *plan, const ce_q_gemm_desc *desc) {
  const int64_t pairs = pairs_of(desc);
  int32_t *base = (int32_t *)((char *)plan + header_bytes()), *row_at = base + 2 * pairs, *begin = row_at + 2 * pairs;
  float *factor = (float *)(begin + pairs + 1);
  int32_t *words = (int32_t *)(factor + 2 * pairs);
  plan->base = base, plan->factor = factor, plan->words = words, plan->row_at = row_at, plan->begin = begin;
  plan->pairs = (int32_t)pairs;
  sort_rows(desc, row_at);
  begin[0] = 0;
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const int32_t *rows = row_at + 2 * pair;
    const int64_t longer = ce_max(quads_of_row(desc, rows[0]), rows[1] < 0 ? 0 : quads_of_row(desc, rows[1]));
    begin[pair + 1] = begin[pair] + (int32_t)longer;
  }
  uint16_t *column = (uint16_t *)(words + (int64_t)begin[pairs] * 8);
  plan->column = column;
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const int32_t *rows = row_at + 2 * pair;
    for (int64_t i = 2 * pair; i < 2 * pair + 2; ++i) {
      const int32_t row = row_at[i];
      base[i] = row < 0 ? 0 : desc->bias[row];
      factor[i] = row < 0 ? 0 : ce_q_factor(desc->x.scale, desc->w_scale[row], desc->to_float ? 1 : desc->y.scale);
    }
    const int64_t first = 8 * (int64_t)begin[pair];
    put_pair(plan, desc, rows, begin[pair + 1] - begin[pair], words + first, column + first, base + 2 * pair);
  }
}

#if CE_LANES == 16
CE_INLINE __m128i inputs_of(const int32_t *x, const uint16_t *column) {
  return _mm_setr_epi32(x[column[0]], x[column[1]], x[column[2]], x[column[3]]);
}

static void run_pairs(const plan_t *plan, const uint8_t *x, uint8_t *y, float *to_float, int64_t begin, int64_t end) {
  const int64_t pixel = ce_q_plane(1, 1);
  int32_t inputs[MOST_GROUPS];
  for (int64_t group = 0; group < plan->groups; ++group) __builtin_memcpy(&inputs[group], x + group * pixel, 4);
  for (int64_t pair = begin; pair < end; ++pair) {
    const int32_t *words = plan->words + 8 * (int64_t)plan->begin[pair];
    const uint16_t *column = plan->column + 8 * (int64_t)plan->begin[pair];
    __m128i a = _mm_setzero_si128(), b = a;
    CE_ONE_BY_ONE for (int32_t quad = plan->begin[pair]; quad < plan->begin[pair + 1]; ++quad, words += 8, column += 8) {
      a = _mm_dpbusd_epi32(a, inputs_of(inputs, column), _mm_loadu_si128((const __m128i *)words));
      b = _mm_dpbusd_epi32(b, inputs_of(inputs, column + 4), _mm_loadu_si128((const __m128i *)(words + 4)));
    }
    const __m128i halves = _mm_hadd_epi32(a, b), sums = _mm_hadd_epi32(halves, halves);
    const int32_t total[2] = {_mm_cvtsi128_si32(sums) + plan->base[2 * pair], _mm_extract_epi32(sums, 1) + plan->base[2 * pair + 1]};
    for (int64_t which = 0; which < 2; ++which) {
      const int64_t row = plan->row_at[2 * pair + which];
      const float factor = plan->factor[2 * pair + which];
      if (row < 0) continue;
      if (plan->to_float) to_float[row] = (float)total[which] * factor;
      else y[row / 4 * pixel + row % 4] = ce_q_requantize(total[which], factor, plan->y_zero);
    }
  }
}
#else
static void run_pairs(const plan_t *plan, const uint8_t *x, uint8_t *y, float *to_float, int64_t begin, int64_t end) {
  (void)plan, (void)x, (void)y, (void)to_float, (void)begin, (void)end;
}
#endif

#endif
