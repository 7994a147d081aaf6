/* Transposition of CE_LANES times CE_LANES floats: within fours of lanes, and then of the fours. */
#ifndef CE_COMMON_TRANSPOSE_H
#define CE_COMMON_TRANSPOSE_H

#include "common/simd.h"

/* Of two vectors a and b, within each four of lanes: a0 b0 a1 b1, or a2 b2 a3 b3 (d = 2); a0 a1 b0 b1, or a2 a3 b2 b3. */
#define CE_MIX(j, d) (((j) & ~3) + ((j) & 1 ? CE_LANES : 0) + ((j) & 2) / 2 + (d))
#define CE_JOIN(j, d) (((j) & ~3) + ((j) & 2 ? CE_LANES : 0) + ((j) & 1) + (d))
/* Lane j of the first and of the second of two vectors that exchange lanes which are d apart. */
#define CE_FIRST(j, d) ((j) & (d) ? CE_LANES + (j) - (d) : (j))
#define CE_SECOND(j, d) ((j) & (d) ? CE_LANES + (j) : (j) + (d))
#define CE_4(of, j, d) of(j, d), of(j + 1, d), of(j + 2, d), of(j + 3, d)
#if CE_LANES == 16
#define CE_ALL(of, d) CE_4(of, 0, d), CE_4(of, 4, d), CE_4(of, 8, d), CE_4(of, 12, d)
#elif CE_LANES == 8
#define CE_ALL(of, d) CE_4(of, 0, d), CE_4(of, 4, d)
#else
#define CE_ALL(of, d) CE_4(of, 0, d)
#endif

/* Each four by four block of lanes. */
CE_INLINE void ce_transpose_fours(vf *rows) {
  CE_UNROLL for (int i = 0; i < CE_LANES; i += 4) {
    const vf a = __builtin_shufflevector(rows[i], rows[i + 1], CE_ALL(CE_MIX, 0));
    const vf b = __builtin_shufflevector(rows[i], rows[i + 1], CE_ALL(CE_MIX, 2));
    const vf c = __builtin_shufflevector(rows[i + 2], rows[i + 3], CE_ALL(CE_MIX, 0));
    const vf d = __builtin_shufflevector(rows[i + 2], rows[i + 3], CE_ALL(CE_MIX, 2));
    rows[i] = __builtin_shufflevector(a, c, CE_ALL(CE_JOIN, 0));
    rows[i + 1] = __builtin_shufflevector(a, c, CE_ALL(CE_JOIN, 2));
    rows[i + 2] = __builtin_shufflevector(b, d, CE_ALL(CE_JOIN, 0));
    rows[i + 3] = __builtin_shufflevector(b, d, CE_ALL(CE_JOIN, 2));
  }
}

#define CE_EXCHANGE(rows, d)                                                        \
  CE_UNROLL for (int i = 0; i < CE_LANES; ++i) if (!(i & (d))) {                    \
    const vf first = (rows)[i], second = (rows)[i | (d)];                           \
    (rows)[i] = __builtin_shufflevector(first, second, CE_ALL(CE_FIRST, d));        \
    (rows)[i | (d)] = __builtin_shufflevector(first, second, CE_ALL(CE_SECOND, d)); \
  }

/* Lane j of row i becomes lane i of row j. */
CE_INLINE void ce_transpose(vf *rows) {
  ce_transpose_fours(rows);
#if CE_LANES >= 8
  CE_EXCHANGE(rows, 4)
#endif
#if CE_LANES >= 16
  CE_EXCHANGE(rows, 8)
#endif
}

/* The same of floats in memory, rows `pitch` apart. With wide vectors the fours are loaded to their places, which leaves
 * half of the work: shuffles are what a core has one unit for. */
CE_INLINE void ce_load_transposed(const float *from, int64_t pitch, vf *rows) {
#if CE_LANES >= 8
  CE_UNROLL for (int column = 0; column < CE_LANES; column += 4) CE_UNROLL for (int i = 0; i < 4; ++i) {
    const float *at = from + i * pitch + column;
#if CE_LANES == 16 && defined(__AVX512F__)
    __m512 fours = _mm512_castps128_ps512(_mm_loadu_ps(at));
    fours = _mm512_insertf32x4(fours, _mm_loadu_ps(at + 4 * pitch), 1);
    fours = _mm512_insertf32x4(fours, _mm_loadu_ps(at + 8 * pitch), 2);
    rows[column + i] = (vf)_mm512_insertf32x4(fours, _mm_loadu_ps(at + 12 * pitch), 3);
#else
    typedef float four __attribute__((ext_vector_type(4), aligned(4)));
    const four low = *(const four *)at, high = *(const four *)(at + 4 * pitch);
    rows[column + i] = __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
#endif
  }
#else
  CE_UNROLL for (int i = 0; i < CE_LANES; ++i) rows[i] = ce_load(from + i * pitch);
#endif
  ce_transpose_fours(rows);
}

#endif
