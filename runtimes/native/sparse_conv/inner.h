/* The inner loop of the sparse convolutions: what each non-zero of a row adds to the row's sums, which stay in registers. */
#ifndef CE_SPARSE_CONV_INNER_H
#define CE_SPARSE_CONV_INNER_H

#include "sparse_conv/tiles.h"

#define MOST_ROWS 4 /* of the CSR, side by side */

/* Cores with many registers to load into hide more of a non-zero's own loads behind the multiply-adds of others: by
 * benchmarks/cycles.py 1.14 cycles a multiply-add on neoverse-n1 instead of 1.22. */
#if defined(__aarch64__)
#define CE_UNROLL_NON_ZEROS _Pragma("clang loop unroll_count(4)")
#else
#define CE_UNROLL_NON_ZEROS
#endif

/* What the inner loop reads, in registers: it is not to look for it again at each non-zero. */
typedef struct sources_t {
  nonzeros_t nonzeros;
  const element *panel;
  const int64_t *offset;
  size_t column;
} sources_t;

/* Elements from one column of the panel to the next: known to the compiler unless a strip has several tiles. */
#if defined(CE_FEEDS)
#define COLUMN(all, vectors) ((void)(vectors), (all)->column)
#else
#define COLUMN(all, vectors) ((size_t)(vectors) * CE_LANES)
#endif

/* The non-zero number `at`, of all output rows of its group: the inputs are loaded once for all of them. */
CE_INLINE void multiply(const sources_t *all, size_t at, sum_t (*sum)[MOST_VECTORS], const int vectors, const int group,
                        const int windows) {
  sum_t weight[MOST_GROUP];
  const size_t column = take_nonzero(&all->nonzeros, at, weight, group, vectors);
  const element *from = all->panel + (windows ? (size_t)all->offset[column] : column * COLUMN(all, vectors));
  CE_ONE_REGISTER(from);
  CE_UNROLL for (int v = 0; v < vectors; ++v) {
    const sum_t x = windows ? *(const unaligned_inputs *)(from + v * CE_LANES) : *(const sum_t *)(from + v * CE_LANES);
    CE_UNROLL for (int r = 0; r < group; ++r) sum[r][v] += weight[r] * x;
  }
}

/* All non-zeros of `rows` rows of the CSR side by side, as one sum at a time would wait for each of its multiply-adds.
 * next[r] is where row r begins, sum[r * group] where its sums are; counts fall from row to row. */
CE_INLINE void accumulate(const tile_t *tile, const row_t *row, size_t *next, sum_t (*sum)[MOST_VECTORS], const int vectors,
                          const int rows, const int group, const int windows) {
  const sources_t all = {tile->plan->nonzeros, tile->inputs, tile->offset, (size_t)tile->column};
  const uint32_t common = row[rows - 1].count;
  CE_UNROLL_NON_ZEROS for (uint32_t i = 0; i < common; ++i)
    CE_UNROLL for (int r = 0; r < rows; ++r) multiply(&all, next[r]++, sum + r * group, vectors, group, windows);
  CE_UNROLL for (int r = 0; r < rows - 1; ++r)
    for (uint32_t i = common; i < row[r].count; ++i)
      multiply(&all, next[r]++, sum + r * group, vectors, group, windows);
}

#endif
