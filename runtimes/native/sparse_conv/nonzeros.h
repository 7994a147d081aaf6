/* How the non-zeros of a sparse convolution lie in memory, in the order in which they are used.
 *
 * With 16 lanes a core's loads are what it runs out of first: a multiply-add is one of its inputs. There a non-zero's value
 * and column are one word, taken apart in registers, so that it costs one load besides its inputs instead of two. Elsewhere,
 * and where each load of inputs serves several output rows, values and columns are arrays of their own, which are smaller.
 */
#ifndef CE_SPARSE_CONV_NONZEROS_H
#define CE_SPARSE_CONV_NONZEROS_H

#include "sparse_conv/element.h"

#if CE_LANES == 16 && !defined(CE_BLOCKS)

#define NONZERO_BYTES(group) ((void)(group), sizeof(uint64_t))

typedef struct nonzeros_t {
  uint64_t *words; /* [nnz]: column in its K tile, and from bit 32 on the bits of the value */
} nonzeros_t;

static inline nonzeros_t nonzeros_at(void *memory, size_t nnz, int32_t group) {
  (void)nnz, (void)group;
  return (nonzeros_t){memory};
}

static inline void put_nonzero(nonzeros_t *all, size_t at, const float *values, int32_t group, int64_t column) {
  uint32_t bits;
  (void)group;
  __builtin_memcpy(&bits, values, sizeof bits);
  all->words[at] = (uint64_t)bits << 32 | (uint64_t)column;
}

/* The column; the values of all rows of the group into `weight`. */
CE_INLINE uint32_t take_nonzero(const nonzeros_t *all, size_t at, sum_t *weight, const int group, const int vectors) {
  if (vectors <= 2) { /* few loads, but then as many instructions count that are not multiply-adds */
    float value;
    __builtin_memcpy(&value, (const char *)(all->words + at) + 4, sizeof value);
    weight[0] = (sum_t)value;
    return (uint32_t)all->words[at];
  }
  uint64_t word = all->words[at];
  __asm__("" : "+r"(word)); /* else it becomes two loads */
  (void)group;
  weight[0] = (sum_t)_mm512_castsi512_ps(_mm512_set1_epi32((int)(word >> 32)));
  return (uint32_t)word;
}

#else

#define NONZERO_BYTES(group) (sizeof(element) * (size_t)(group) + sizeof(uint16_t))

typedef struct nonzeros_t {
  element *values; /* [nnz][group] */
  uint16_t *index; /* [nnz]: column in its K tile */
} nonzeros_t;

static inline nonzeros_t nonzeros_at(void *memory, size_t nnz, int32_t group) {
  element *values = memory;
  return (nonzeros_t){values, (uint16_t *)(values + nnz * (size_t)group)};
}

static inline void put_nonzero(nonzeros_t *all, size_t at, const float *values, int32_t group, int64_t column) {
  for (int32_t r = 0; r < group; ++r) all->values[at * (size_t)group + (size_t)r] = (element)values[r];
  all->index[at] = (uint16_t)column;
}

CE_INLINE uint32_t take_nonzero(const nonzeros_t *all, size_t at, sum_t *weight, const int group, const int vectors) {
  (void)vectors;
  const element *values = all->values + at * group;
  CE_UNROLL for (int r = 0; r < group; ++r) weight[r] = (sum_t)values[r];
  return all->index[at];
}

#endif

#endif
