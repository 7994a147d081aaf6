/* From the weights of a desc to those of a plan, in two passes over the blocks: how many each row has in each K tile, and what
 * they are.
 *
 * Blocks that an ISA cannot take whole become two. Where the products of two blocks may share 16 bits before they are widened
 * (CE_Q_PAIRS_SATURATE), blocks of a row and tile are put side by side with a partner for which they fit; those that find none
 * among the last few come after all pairs.
 */
#ifndef CE_Q_CONV_PACK_H
#define CE_Q_CONV_PACK_H

#include "q_conv/arrange.h"

static int must_split(const ce_q_conv_desc *desc, const plan_t *plan, int64_t block_row, int64_t at) {
#if defined(CE_Q_SPLITS_WORDS)
  for (int32_t i = 0; i < plan->rows; ++i)
    if (ce_q_word_must_split(word_at(desc, plan, block_row, at, i))) return 1;
#endif
  return (void)desc, (void)plan, (void)block_row, (void)at, 0;
}

/* Blocks of a row with those that are split, by K tiles: the numbers are added to `count`, `stride` apart; NULL: only their sum. */
static int64_t count_row(const ce_q_conv_desc *desc, const plan_t *plan, int64_t block_row, uint32_t *count, int64_t stride) {
  const row_t row = row_of(desc, plan, block_row);
  int64_t all = row.end - row.at;
#if !defined(CE_Q_SPLITS_WORDS)
  if (!count) return all;
  if (plan->k_tiles == 1) return *count += (uint32_t)all, all;
#endif
  all = 0;
  int64_t tile_end = plan->k_columns;
  for (int64_t at = row.at; at < row.end; ++at) {
    for (const int64_t column = column_at(desc, at); column >= tile_end; tile_end += plan->k_columns)
      if (count) count += stride;
    const int pieces = 1 + must_split(desc, plan, block_row, at);
    if (count) *count += (uint32_t)pieces;
    all += pieces;
  }
  return all;
}

static int64_t count_blocks(const ce_q_conv_desc *desc, const plan_t *plan) {
  int64_t count = 0;
  for (int64_t r = 0; r < block_rows_of(plan); ++r) count += count_row(desc, plan, r, 0, 0);
  return count;
}

static size_t plan_bytes(const void *desc_) {
  const ce_q_conv_desc *desc = desc_;
  const int64_t taps = (int64_t)desc->geometry.kernel_h * desc->geometry.kernel_w;
  if (!ce_usual_stride(&desc->geometry) || taps > CE_Q_MOST_TAPS) return 0;
  const plan_t plan = shape_plan(desc);
  const size_t blocks = (size_t)count_blocks(desc, &plan);
  const size_t ends = (size_t)(plan.k_tiles * block_rows_of(&plan)) + 1;
#if defined(CE_Q_PAIRS_SATURATE)
  const size_t arrays = 2;
#else
  const size_t arrays = 1;
#endif
  const size_t of_rows = 4 * (arrays * ends + 8 * (size_t)plan.groups + (size_t)block_rows_of(&plan)) + 16 * (size_t)plan.groups;
  return sizeof(plan_t) + of_rows + most_blocks(&plan, blocks, ends) * (4 * (size_t)plan.rows + 1) + CE_Q_PAST_COLUMNS;
}

/* Blocks of a row and K tile that a plan gets: [front, back) is still free. */
typedef struct target_t {
  int32_t *words;
  uint8_t *column;
  uint32_t front, back;
  int32_t rows;
} target_t;

typedef struct packed_t {
  uint32_t word[4]; /* of each row */
  uint8_t column;
} packed_t;

#if defined(CE_Q_PAIRS_SATURATE)
#define MOST_WAITING 8
#define NOTHING_FITS 0x0100010001000100u /* more than any sum that a word may have */

/* Blocks, of one row, that wait for a partner; places from `count` on have sums that nothing fits. */
typedef struct waiting_t {
  int count;
  uint64_t sums[MOST_WAITING];
  uint32_t word[MOST_WAITING];
  uint8_t column[MOST_WAITING];
} waiting_t;

static waiting_t nobody(void) {
  waiting_t waiting = {0};
  for (int i = 0; i < MOST_WAITING; ++i) waiting.sums[i] = NOTHING_FITS;
  return waiting;
}

/* Puts one of the waiting at `at`. */
static void put_waiting(const target_t *to, uint32_t at, waiting_t *waiting, int which) {
  const int last = --waiting->count;
  to->words[at] = (int32_t)waiting->word[which], to->column[at] = waiting->column[which];
  waiting->word[which] = waiting->word[last], waiting->column[which] = waiting->column[last];
  waiting->sums[which] = waiting->sums[last], waiting->sums[last] = NOTHING_FITS;
}

static void add(target_t *to, waiting_t *waiting, uint32_t word, uint8_t column) {
  const uint64_t sums = ce_q_pair_sums(word);
  unsigned fitting = 0; /* all are looked at, since a branch for each would be mispredicted more often than not */
  for (int other = 0; other < MOST_WAITING; ++other) fitting |= (unsigned)ce_q_sums_fit(sums + waiting->sums[other]) << other;
  if (fitting) {
    put_waiting(to, to->front++, waiting, __builtin_ctz(fitting));
    to->words[to->front] = (int32_t)word, to->column[to->front++] = column;
    return;
  }
  if (waiting->count == MOST_WAITING) put_waiting(to, --to->back, waiting, 0);
  waiting->word[waiting->count] = word, waiting->column[waiting->count] = column;
  waiting->sums[waiting->count++] = sums;
}
#else
static void put(const target_t *to, uint32_t at, const packed_t *block) {
  to->column[at] = block->column;
  for (int32_t i = 0; i < to->rows; ++i) to->words[(int64_t)at * to->rows + i] = (int32_t)block->word[i];
}
#endif

/* The blocks of the row that a plan has at a place. */
static void pack_row(const ce_q_conv_desc *desc, const plan_t *plan, int64_t place, target_t to, const uint32_t *begin,
                     uint32_t *alone, int32_t *base) {
  const int64_t block_row = plan->row_at[place];
  const row_t row = row_of(desc, plan, block_row);
  const int64_t stride = block_rows_of(plan);
  const int32_t zero = plan->x_zero - CE_Q_FLIP;
  int64_t at = row.at;
  for (int64_t tile = 0; tile < plan->k_tiles; ++tile) {
    const int64_t first = tile * plan->k_columns, tile_end = first + plan->k_columns;
    to.front = begin[tile * stride + place], to.back = begin[tile * stride + place + 1];
#if defined(CE_Q_PAIRS_SATURATE)
    waiting_t waiting = nobody();
#endif
    for (; at < row.end && column_at(desc, at) < tile_end; ++at) {
      const int64_t column = column_at(desc, at) - first;
      packed_t block = {.column = (uint8_t)(plan->apart ? apart_column(plan, column) : column)};
      for (int32_t i = 0; i < plan->rows; ++i) {
        block.word[i] = word_at(desc, plan, block_row, at, i);
        base[place * plan->rows + i] -= zero * ce_q_word_sum(block.word[i]);
      }
      const int pieces = 1 + must_split(desc, plan, block_row, at);
      const packed_t whole = block;
      for (int piece = 0; piece < pieces; ++piece) {
        for (int32_t i = 0; i < plan->rows && pieces == 2; ++i) block.word[i] = ce_q_half_word(whole.word[i], piece);
#if defined(CE_Q_PAIRS_SATURATE)
        add(&to, &waiting, block.word[0], block.column);
#else
        put(&to, to.front++, &block);
#endif
      }
    }
#if defined(CE_Q_PAIRS_SATURATE)
    while (waiting.count) put_waiting(&to, --to.back, &waiting, 0);
    alone[tile * stride + place] = to.front;
#else
    for (const packed_t none = {.column = 0}; to.front < to.back;) put(&to, to.front++, &none);
#endif
  }
  (void)alone;
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
  const int64_t rows = plan->groups * 4, block_rows = block_rows_of(plan), ends = plan->k_tiles * block_rows + 1;
  int32_t *base = (int32_t *)(plan + 1);
  float *factor = (float *)(base + rows);
  uint32_t *begin = (uint32_t *)(factor + rows), *alone = begin;
#if defined(CE_Q_PAIRS_SATURATE)
  alone += ends;
  plan->alone = alone;
#endif
  uint32_t *row_at = alone + ends;
  uint8_t *turn = (uint8_t *)(row_at + block_rows);
  int32_t *words = (int32_t *)(turn + 16 * plan->groups);
  plan->row_at = row_at, plan->turn = turn;
  for (int64_t i = 0; i < ends; ++i) begin[i] = 0;
  for (int64_t r = 0; r < block_rows; ++r) count_row(desc, plan, r, begin + r, block_rows);
  uint64_t all = 0;
  for (int64_t i = 0; i < ends; ++i) all += begin[i];
  plan->two_chains = has_two_chains(plan, all);
  arrange_rows(plan, begin, row_at, (uint32_t *)turn);
  find_turns(plan, row_at, turn);
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t m = (int64_t)row_at[i / plan->rows] * plan->rows + i % plan->rows;
    const int real = m < plan->g.out_channels;
    base[i] = real ? desc->bias[m] : 0;
    factor[i] = real ? ce_q_factor(desc->x.scale, desc->w_scale[m], desc->y.scale) : 0;
  }
  uint32_t next = 0;
  for (int64_t i = 0; i < ends; ++i) {
    const uint32_t count = begin[i];
    begin[i] = next;
    next += count;
  }
  const target_t to = {.words = words, .column = (uint8_t *)(words + (int64_t)next * plan->rows), .rows = plan->rows};
  for (int64_t place = 0; place < block_rows; ++place) pack_row(desc, plan, place, to, begin, alone, base);
  plan->words = words, plan->column = to.column, plan->begin = begin, plan->base = base, plan->factor = factor;
}

#endif
