/* Padded copies of image rows in which every tap of a strided window is a contiguous load.
 *
 * A padded row of stride s is split into s phases: position u (0 is the first padding column) is element u / s of phase
 * u % s, each phase being `length` floats long. Output column i of tap j (dilation d) is element i + j*d/s of phase j*d % s.
 */
#ifndef CE_COMMON_ROWS_H
#define CE_COMMON_ROWS_H

#include "common/geometry.h"
#include "common/kernel.h"
#include "common/simd.h"

/* Floats in a phase of a row: whole vectors of outputs and the reach of the last tap. */
static inline int64_t ce_phase_length(const ce_conv_geometry *g, int64_t in_w, int64_t out_w) {
  const int64_t reach = (int64_t)(g->kernel_w - 1) * g->dilation_w / g->stride_w;
  const int64_t read = (int64_t)ce_round_up((size_t)out_w, CE_LANES) + reach;
  const int64_t written = ce_ceil_div(in_w + g->pad_left + g->pad_right, g->stride_w);
  return (int64_t)ce_round_up((size_t)ce_max(read, written), CE_LANES);
}

/* Where tap kw begins in a row. */
static inline int64_t ce_tap_offset(const ce_conv_geometry *g, int64_t kw, int64_t length) {
  const int64_t at = kw * g->dilation_w;
  return at % g->stride_w * length + at / g->stride_w;
}

CE_INLINE void ce_zero(float *to, int64_t count) {
  int64_t i = 0;
  for (; i + CE_LANES <= count; i += CE_LANES) ce_store(to + i, (vf)0.0f);
  for (; i < count; ++i) to[i] = 0;
}

CE_INLINE void ce_copy(float *to, const float *from, int64_t count) {
  int64_t i = 0;
  for (; i + CE_LANES <= count; i += CE_LANES) ce_store(to + i, ce_load(from + i));
  if (i < count) ce_store_part(to + i, ce_load_part(from + i, (int)(count - i)), (int)(count - i));
}

#if CE_LANES == 16
#define CE_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define CE_ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif CE_LANES == 8
#define CE_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define CE_ODD 1, 3, 5, 7, 9, 11, 13, 15
#else
#define CE_EVEN 0, 2, 4, 6
#define CE_ODD 1, 3, 5, 7
#endif

/* even[i] = from[2i], odd[i] = from[2i + 1] for `count` floats. */
CE_INLINE void ce_deinterleave(float *even, float *odd, const float *from, int64_t count) {
  int64_t i = 0;
  for (; i + 2 * CE_LANES <= count; i += 2 * CE_LANES) {
    const vf a = ce_load(from + i), b = ce_load(from + i + CE_LANES);
    ce_store(even + i / 2, __builtin_shufflevector(a, b, CE_EVEN));
    ce_store(odd + i / 2, __builtin_shufflevector(a, b, CE_ODD));
  }
  for (; i < count; ++i) (i % 2 ? odd : even)[i / 2] = from[i];
}

/* Row `ih` of a plane into `to`, stride_w * length floats; a row outside the plane is padding. */
static inline void ce_pack_row(const ce_conv_geometry *g, float *to, int64_t length, const float *plane, ce_shape in, int64_t ih) {
  const int64_t s = g->stride_w, left = g->pad_left;
  if (ih < 0 || ih >= in.h) {
    ce_zero(to, s * length);
    return;
  }
  const float *from = plane + ih * in.w;
  for (int64_t phase = 0; phase < s; ++phase) {
    /* The image's columns are elements [begin, end) of this phase. */
    const int64_t begin = left <= phase ? 0 : ce_ceil_div(left - phase, s);
    const int64_t end = ce_max(begin, ce_ceil_div(left + in.w - phase, s));
    float *row = to + phase * length;
    ce_zero(row, begin);
    ce_zero(row + end, length - end);
    if (s == 1) ce_copy(row + begin, from, in.w);
    if (s > 2)
      for (int64_t i = begin; i < end; ++i) row[i] = from[i * s + phase - left];
  }
  if (s != 2) return;
  /* Image column 0 is in phase left % 2, column 1 in the other one. */
  float *first = to + left % 2 * length + left / 2, *second = to + (left + 1) % 2 * length + (left + 1) / 2;
  ce_deinterleave(first, second, from, in.w);
}

#endif
