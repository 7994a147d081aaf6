/* Tiles of a few vectors of pixels: for each group of four output channels the sums of their blocks, requantised, and stored
 * as the group's bytes. The groups are the outer loop and a few tiles the inner one, as the lengths of the rows then repeat, and
 * their ends are predicted. */
#ifndef CE_Q_CONV_TILES_H
#define CE_Q_CONV_TILES_H

#include "common/q_finish.h"
#include "q_conv/plan.h"

/* Most vectors of a tile, by the rows of a block: all sums are registers. */
#if CE_REGISTERS == 32 && defined(__AVX512F__)
#define MOST_1 8
#define MOST_2 6
#define MOST_4 5
#elif defined(__ARM_FEATURE_DOTPROD)
#define MOST_1 8
#define MOST_2 8
#define MOST_4 6
#elif defined(__AVX2__)
#define MOST_1 8
#define MOST_2 4
#define MOST_4 2
#else /* two sums a vector */
#define MOST_1 4
#define MOST_2 4
#define MOST_4 2
#endif

typedef struct tile_t {
  const plan_t *plan;
  const uint8_t *x; /* the first pixels of the K tile's first column, of a plane or of a panel */
  int64_t step;     /* bytes from a column to the next */
  int64_t row_step; /* where rows of taps share a copy: what a row adds to that; 0: they do not */
  uint8_t *y;       /* the first pixels of the first group of the image; likewise the residual */
  const uint8_t *residual;
  int64_t y_plane;
  int32_t *sums; /* between K tiles */
  int64_t count; /* tiles side by side */
  int64_t group_begin, group_end, k_tile;
} tile_t;

typedef struct steps_t {
  int64_t one, row;
  uint32_t inverse; /* 2^16 / Q, rounded up, which divides bytes by Q (q_conv/plan.h) */
} steps_t;

CE_INLINE const uint8_t *input_of(const uint8_t *x, uint8_t column, const steps_t step, const int apart) {
  const uint8_t *at = x + (int64_t)column * step.one;
  if (apart) at += (column * step.inverse >> 16) * step.row;
  CE_ONE_REGISTER(at);
  return at;
}

/* Adds blocks [begin, end) to the sums of rows × vectors; those before `paired` two at a time, where that is to be. */
CE_INLINE void add_blocks(va sum[][8], const plan_t *plan, const uint8_t *x, const steps_t step, uint32_t begin, uint32_t end,
                          uint32_t paired, const int rows, const int vectors, const int apart) {
  const int32_t *words = plan->words + (size_t)begin * (size_t)rows;
  const uint8_t *column = plan->column + begin, *last = plan->column + end;
#if defined(CE_Q_WORDS_BY_LANE) /* four words in a register */
  const uint8_t *at[4]; /* of the next blocks: a plan has bytes past its last column */
  CE_UNROLL for (int b = 0; b < 4 / rows; ++b) at[b] = input_of(x, column[b], step, apart);
  CE_ONE_BY_ONE for (; column + 4 / rows <= last; column += 4 / rows, words += 4) {
    const vq word = ce_q_load_unaligned((const uint8_t *)words);
    uint32_t next = 0;
    __builtin_memcpy(&next, column + 4 / rows, 4 / rows);
    CE_UNROLL for (int b = 0; b < 4 / rows; ++b) {
      const uint8_t *from = at[b];
      at[b] = input_of(x, (uint8_t)(next >> (8 * b)), step, apart);
      CE_UNROLL for (int v = 0; v < vectors; ++v) {
        const vq input = ce_q_load(from + v * CE_Q_VECTOR_BYTES);
        CE_UNROLL for (int r = 0; r < rows; ++r) sum[r][v] = ce_q_dot_lane(sum[r][v], input, word, b * rows + r);
      }
    }
  }
#elif defined(CE_Q_WORDS_BY_TWO)
  CE_ONE_BY_ONE for (; column + 2 <= plan->column + paired; column += 2, words += 2 * rows) {
    const uint8_t *a = input_of(x, column[0], step, apart), *b = input_of(x, column[1], step, apart);
    vq of_a[4], of_b[4];
    CE_UNROLL for (int r = 0; r < rows; ++r) of_a[r] = ce_q_splat(words[r]), of_b[r] = ce_q_splat(words[rows + r]);
    CE_UNROLL for (int v = 0; v < vectors; ++v) {
      const vq input = ce_q_load(a + v * CE_Q_VECTOR_BYTES), other = ce_q_load(b + v * CE_Q_VECTOR_BYTES);
      CE_UNROLL for (int r = 0; r < rows; ++r) sum[r][v] = ce_q_dot_two(sum[r][v], input, of_a[r], other, of_b[r]);
    }
  }
#elif CE_Q_TWO_CHAINS
  if (rows == 1 && vectors <= CE_Q_TWO_CHAINS) {
    va other[8];
    CE_UNROLL for (int v = 0; v < vectors; ++v) other[v] = ce_q_begin((vi)0);
    CE_ONE_BY_ONE for (; column + 1 < last; column += 2, words += 2) {
      uint16_t both; /* loads are what this waits for */
      __builtin_memcpy(&both, column, 2);
      const uint8_t *a = input_of(x, (uint8_t)both, step, apart), *b = input_of(x, (uint8_t)(both >> 8), step, apart);
      const vq wa = ce_q_splat(words[0]), wb = ce_q_splat(words[1]);
      CE_UNROLL for (int v = 0; v < vectors; ++v) {
        sum[0][v] = ce_q_dot(sum[0][v], ce_q_load(a + v * CE_Q_VECTOR_BYTES), wa);
        other[v] = ce_q_dot(other[v], ce_q_load(b + v * CE_Q_VECTOR_BYTES), wb);
      }
    }
    CE_UNROLL for (int v = 0; v < vectors; ++v) sum[0][v] = ce_q_join(sum[0][v], other[v]);
  }
#endif
  (void)paired;
  CE_ONE_BY_ONE for (; column < last; ++column, words += rows) {
    const uint8_t *at = input_of(x, *column, step, apart);
    vq word[4];
    CE_UNROLL for (int r = 0; r < rows; ++r) word[r] = ce_q_splat(words[r]);
    CE_UNROLL for (int v = 0; v < vectors; ++v) {
      const vq input = ce_q_load(at + v * CE_Q_VECTOR_BYTES);
      CE_UNROLL for (int r = 0; r < rows; ++r) sum[r][v] = ce_q_dot(sum[r][v], input, word[r]);
    }
  }
}

CE_INLINE void run_tiles(const tile_t *tile, const int rows, const int vectors, const int apart) {
  const steps_t step = {tile->step, tile->row_step, apart ? 65536 / ((uint32_t)tile->plan->k_columns / 3) + 1 : 0};
  const plan_t *plan = tile->plan;
  const int first = tile->k_tile == 0, last = tile->k_tile + 1 == plan->k_tiles;
  const int plain = !plan->finish.table && !plan->finish.add;
  const vh zero = (vh)(int16_t)(plan->finish.zero - CE_Q_FLIP);
  const uint32_t *begin = plan->begin + tile->k_tile * block_rows_of(plan) + tile->group_begin * (4 / rows);
#if defined(CE_Q_PAIRS_SATURATE)
  const uint32_t *paired = plan->alone + (begin - plan->begin);
#else
  const uint32_t *paired = begin + 1; /* all of them */
#endif
  int32_t *sums = tile->sums;
  for (int64_t group = tile->group_begin; group < tile->group_end; ++group, begin += 4 / rows, paired += 4 / rows) {
    const int32_t *base = plan->base + 4 * group;
    const float *factor = plan->factor + 4 * group;
    const uint8_t *x = tile->x;
    const uint8_t *turn = plan->turn + 16 * group;
    int64_t at = plan->row_at[group * (4 / rows)] / (4 / rows) * tile->y_plane;
    for (int64_t i = 0; i < tile->count; ++i, x += vectors * CE_Q_VECTOR_BYTES, at += vectors * CE_Q_VECTOR_BYTES) {
      vi kept[8];
      vh low[8], high[8];
      CE_UNROLL for (int b = 0; b < 4 / rows; ++b) {
        va sum[4][8];
        vi total[4][8];
        CE_UNROLL for (int r = 0; r < rows; ++r) {
          CE_UNROLL for (int v = 0; v < vectors; ++v)
            sum[r][v] = ce_q_begin(first ? (vi)base[b * rows + r]
                                         : *(const vi *)(sums + ((b * rows + r) * vectors + v) * CE_LANES));
        }
        add_blocks(sum, plan, x, step, begin[b], begin[b + 1], paired[b], rows, vectors, apart);
        CE_UNROLL for (int r = 0; r < rows; ++r)
          CE_UNROLL for (int v = 0; v < vectors; ++v) total[r][v] = ce_q_end(sum[r][v]);
        if (!last) {
          CE_UNROLL for (int r = 0; r < rows; ++r)
            CE_UNROLL for (int v = 0; v < vectors; ++v)
              *(vi *)(sums + ((b * rows + r) * vectors + v) * CE_LANES) = total[r][v];
          continue;
        }
        CE_UNROLL for (int r = 0; r < rows; ++r) {
          const vf scale = ce_splat(factor[b * rows + r]);
          CE_UNROLL for (int v = 0; v < vectors; ++v) total[r][v] = ce_q_scale(total[r][v], scale);
        }
        CE_UNROLL for (int v = 0; v < vectors; ++v) {
          if (rows == 1 && b % 2 == 0) kept[v] = total[0][v];
          if (rows == 1 && b == 1) low[v] = ce_q_pack2(kept[v], total[0][v], zero);
          if (rows == 1 && b == 3) high[v] = ce_q_pack2(kept[v], total[0][v], zero);
          if (rows == 2 && b == 0) low[v] = ce_q_pack2(total[0][v], total[1][v], zero);
          if (rows == 2 && b == 1) high[v] = ce_q_pack2(total[0][v], total[1][v], zero);
          if (rows == 4) low[v] = ce_q_pack2(total[0][v], total[1][v], zero), high[v] = ce_q_pack2(total[2][v], total[3][v], zero);
        }
      }
      sums += 4 * vectors * CE_LANES;
      if (!last) continue;
      uint8_t *to = tile->y + at;
      CE_UNROLL for (int v = 0; v < vectors; ++v)
        ce_q_store(to + v * CE_Q_VECTOR_BYTES, ce_q_turn_by(ce_q_pack4(low[v], high[v]), turn));
      if (!plain) ce_q_finish_all(&plan->finish, to, plan->finish.add ? tile->residual + at : 0, vectors * CE_Q_VECTOR_BYTES);
    }
  }
}

#define TILES(rows, vectors) \
  CE_NOINLINE void tiles_##rows##x##vectors(const tile_t *tile) { run_tiles(tile, rows, vectors, 0); }
#define APART_TILES(rows, vectors) \
  CE_NOINLINE void apart_##rows##x##vectors(const tile_t *tile) { run_tiles(tile, rows, vectors, 1); }
#define EACH_1(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4)
#define EACH_2(X) X(2, 1) X(2, 2) X(2, 3) X(2, 4)
#define EACH_4(X) X(4, 1) X(4, 2)
#if MOST_1 > 4
#define MORE_1(X) X(1, 5) X(1, 6) X(1, 7) X(1, 8)
#else
#define MORE_1(X)
#endif
#if MOST_2 >= 6
#define MORE_2(X) X(2, 5) X(2, 6)
#else
#define MORE_2(X)
#endif
#if MOST_2 == 8
#define MOST_OF_2(X) X(2, 7) X(2, 8)
#else
#define MOST_OF_2(X)
#endif
#if MOST_4 >= 4
#define MORE_4(X) X(4, 3) X(4, 4)
#else
#define MORE_4(X)
#endif
#if MOST_4 == 6
#define MOST_OF_4(X) X(4, 5) X(4, 6)
#elif MOST_4 == 5
#define MOST_OF_4(X) X(4, 5)
#else
#define MOST_OF_4(X)
#endif
#if defined(CE_Q_PAIRS_SATURATE) /* which has blocks of one row only */
#define EACH(X) EACH_1(X) MORE_1(X)
#else
#define EACH(X) EACH_1(X) EACH_2(X) EACH_4(X) MORE_1(X) MORE_2(X) MOST_OF_2(X) MORE_4(X) MOST_OF_4(X)
#endif
EACH(TILES)
#if CE_LANES >= 8
EACH(APART_TILES)
#define RUN_TILES(rows, vectors) (tile->row_step ? apart_##rows##x##vectors : tiles_##rows##x##vectors)(tile)
#else
#define RUN_TILES(rows, vectors) tiles_##rows##x##vectors(tile)
#endif

static int64_t most_vectors(const plan_t *plan) {
  if (plan->rows == 1) return plan->two_chains ? CE_Q_TWO_CHAINS : MOST_1;
  return plan->rows == 2 ? MOST_2 : MOST_4;
}

static void run_tiles_of(const tile_t *tile, int64_t vectors) {
  switch (tile->plan->rows * 16 + vectors) {
#define CASE(rows, vectors) \
  case rows * 16 + vectors: \
    RUN_TILES(rows, vectors);     \
    break;
    EACH(CASE)
  }
}

#endif
