/* In which order a plan has its rows.
 *
 * The end of a row's loop is predicted where rows have as many blocks as those before them, and a misprediction takes as long as
 * several blocks: measured on Zen 5, a tenth of a sparse MobileNetV2's time. So the rows of four output channels are sorted by
 * their blocks, and groups of like rows follow each other. Bytes of the four channels are put back in order by the shuffle that
 * turns them (ce_q_turn_by). Where blocks are added two at a time, a row has an even number: a block of zeros more, if need be.
 */
#ifndef CE_Q_CONV_ARRANGE_H
#define CE_Q_CONV_ARRANGE_H

#include "q_conv/plan.h"

static inline int32_t rows_of_group(const plan_t *plan) { return 4 / plan->rows; }

/* Whether rows are sorted: those of dense weights are all alike. */
static int is_sorted(const plan_t *plan) {
#if defined(CE_Q_SORTS_ROWS)
  return plan->rows < 4;
#else
  return (void)plan, 0;
#endif
}

static void swap_rows(uint32_t *a, uint32_t *b) {
  const uint32_t kept = *a;
  *a = *b, *b = kept;
}

/* Rows of two groups that differ in their numbers of blocks, more than by how much. */
static uint32_t distance(const uint32_t *blocks, const uint32_t *a, const uint32_t *b, int32_t count) {
  uint32_t sum = 0;
  for (int32_t i = 0; i < count; ++i) {
    const uint32_t x = blocks[a[i]], y = blocks[b[i]], by = x > y ? x - y : y - x;
    sum += by ? 64 + (by < 63 ? by : 63) : 0;
  }
  return sum;
}

#define MOST_COMPARED 128 /* groups, for each place: plans are made in little time */

/* After each group the one most like it, of the next ones that are left. row_at: the row at each place, in the order of the channels. */
static void sort_rows(const plan_t *plan, const uint32_t *blocks, uint32_t *row_at) {
  const int32_t count = rows_of_group(plan), groups = plan->groups;
  for (int32_t group = 0; group < groups; ++group)
    for (int32_t i = 1; i < count; ++i)
      for (uint32_t *at = row_at + group * count + i; at > row_at + group * count && blocks[at[-1]] > blocks[*at]; --at)
        swap_rows(at - 1, at);
  for (int32_t group = 1; group < groups; ++group) {
    uint32_t *to = row_at + group * count, least = UINT32_MAX;
    int32_t nearest = group;
    const int32_t end = group + MOST_COMPARED < groups ? group + MOST_COMPARED : groups;
    for (int32_t other = group; other < end && least; ++other) {
      const uint32_t far = distance(blocks, to - count, row_at + other * count, count);
      if (far < least) least = far, nearest = other;
    }
    for (int32_t i = 0; i < count; ++i) swap_rows(to + i, row_at + nearest * count + i);
  }
}

/* What `all` blocks of a plan's rows in its K tiles, `rows` together, may become. */
static size_t most_blocks(const plan_t *plan, size_t all, size_t rows) {
  return all + (is_sorted(plan) && has_two_chains(plan, all) ? rows : 0);
}

/* Finds the row of each place. `blocks`: how many each row has, [k_tiles, rows], which become those of the places. kept: room for
 * as many as there are rows. */
static void arrange_rows(const plan_t *plan, uint32_t *blocks, uint32_t *row_at, uint32_t *kept) {
  const int32_t rows = block_rows_of(plan);
  uint64_t all = 0;
  for (int32_t r = 0; r < rows; ++r) row_at[r] = (uint32_t)r, kept[r] = 0;
  if (!is_sorted(plan)) return;
  for (int64_t tile = 0; tile < plan->k_tiles; ++tile)
    for (int32_t r = 0; r < rows; ++r) kept[r] += blocks[tile * rows + r], all += blocks[tile * rows + r];
  sort_rows(plan, kept, row_at);
  const int by_two = has_two_chains(plan, all);
  for (int64_t tile = 0; tile < plan->k_tiles; ++tile, blocks += rows) {
    for (int32_t r = 0; r < rows; ++r) kept[r] = blocks[r];
    for (int32_t place = 0; place < rows; ++place)
      blocks[place] = by_two ? (kept[row_at[place]] + 1) / 2 * 2 : kept[row_at[place]];
  }
}

/* Of each group the shuffle that makes pixels of its four rows, 16 bytes. */
static void find_turns(const plan_t *plan, const uint32_t *row_at, uint8_t *turn) {
  const int32_t count = rows_of_group(plan);
  for (int32_t group = 0; group < plan->groups; ++group, turn += 16)
    for (int32_t place = 0; place < 4; ++place) {
      const int32_t row = (int32_t)row_at[group * count + place / plan->rows] % count;
      const int32_t channel = row * plan->rows + place % plan->rows;
      for (int32_t pixel = 0; pixel < 4; ++pixel) turn[4 * pixel + channel] = (uint8_t)(4 * place + pixel);
    }
}

#endif
