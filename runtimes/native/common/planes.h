/* Padded copies of an image plane in which every tap of a strided, dilated window is a contiguous load.
 *
 * Padded rows and columns are split into phases by the stride: the padded pixel (u, v) is element [u / sh][v / sw] of the
 * plane (u % sh, v % sw). Output pixel (i, j) of tap (kh, kw) is then element [i + kh*dh / sh][j + kw*dw / sw] of plane
 * (kh*dh % sh, kw*dw % sw): a fixed offset from i * row + j. The padding is zeroed once and never written again.
 */
#ifndef CE_COMMON_PLANES_H
#define CE_COMMON_PLANES_H

#include "common/geometry.h"
#include "common/kernel.h"
#include "common/simd.h"

typedef struct ce_planes {
  int64_t out_h, out_w;
  int64_t row;   /* floats from one row of a plane to the next */
  int64_t plane; /* floats from one plane to the next */
  int64_t total; /* floats of all planes and what a group of vectors may read past them */
  int64_t rows;  /* output rows that the planes serve */
  int flat;      /* rows lie so close that the outputs of all rows can be computed as one row */
} ce_planes;

/* Padded input rows that out_rows output rows read. */
static inline int64_t ce_input_rows(const ce_conv_geometry *g, int64_t out_rows) {
  return (out_rows - 1) * g->stride_h + (int64_t)(g->kernel_h - 1) * g->dilation_h + 1;
}

/* Planes for at most max_rows output rows. */
static inline ce_planes ce_cut_planes(const ce_conv_geometry *g, ce_shape in, int64_t max_rows, int flat) {
  ce_planes p = {.out_h = ce_out_h(g, in), .out_w = ce_out_w(g, in), .flat = flat};
  p.rows = ce_min(max_rows, p.out_h);
  const int64_t reach = (int64_t)(g->kernel_w - 1) * g->dilation_w / g->stride_w;
  const int64_t written = ce_ceil_div(in.w + g->pad_left + g->pad_right, g->stride_w);
  p.row = ce_max(written, p.out_w + reach);
  if (!flat) p.row = (int64_t)ce_round_up((size_t)p.row, CE_LANES);
  p.plane = (int64_t)ce_round_up((size_t)(ce_ceil_div(ce_input_rows(g, p.rows), g->stride_h) * p.row + 2 * CE_LANES), CE_LANES);
  p.total = p.plane * g->stride_h * g->stride_w + 4 * CE_LANES;
  return p;
}

static inline int64_t ce_tap_offset(const ce_conv_geometry *g, const ce_planes *p, int64_t kh, int64_t kw) {
  const int64_t u = kh * g->dilation_h, v = kw * g->dilation_w;
  return (u % g->stride_h * g->stride_w + v % g->stride_w) * p->plane + u / g->stride_h * p->row + v / g->stride_w;
}

CE_INLINE void ce_zero(float *to, int64_t count) {
  int64_t i = 0;
  for (; i + CE_LANES <= count; i += CE_LANES) ce_store(to + i, (vf)0.0f);
  for (; i < count; ++i) to[i] = 0;
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

/* Copies n rows of w floats. Less than a vector is followed by zeros up to a whole one: rows are written in ascending order,
 * so that these fall on padding or on what is yet to be written. */
CE_NOINLINE void ce_copy_rows(float *to, int64_t to_step, const float *from, int64_t from_step, int64_t w, int64_t n) {
  if (w < CE_LANES) {
    for (; n > 0; --n, to += to_step, from += from_step) ce_store(to, ce_load_part(from, (int)w));
    return;
  }
  for (; n > 0; --n, to += to_step, from += from_step) {
    for (int64_t i = 0; i < w - CE_LANES; i += CE_LANES) ce_store(to + i, ce_load(from + i));
    ce_store(to + w - CE_LANES, ce_load(from + w - CE_LANES));
  }
}

/* even[i] = from[2i] and odd[i] = from[2i + 1] for n rows of w floats, followed by zeros as in ce_copy_rows. */
CE_NOINLINE void ce_split_rows(float *even, float *odd, int64_t to_step, const float *from, int64_t from_step, int64_t w,
                               int64_t n) {
  const int64_t whole = w / (2 * CE_LANES) * CE_LANES;
  const int rest = (int)(w - 2 * whole), rest_a = rest < CE_LANES ? rest : CE_LANES, rest_b = rest - rest_a;
  for (; n > 0; --n, even += to_step, odd += to_step, from += from_step) {
    for (int64_t i = 0; i < whole; i += CE_LANES) {
      const vf a = ce_load(from + 2 * i), b = ce_load(from + 2 * i + CE_LANES);
      ce_store(even + i, __builtin_shufflevector(a, b, CE_EVEN));
      ce_store(odd + i, __builtin_shufflevector(a, b, CE_ODD));
    }
    if (!rest) continue;
    const vf a = ce_load_part(from + 2 * whole, rest_a);
    const vf b = rest_b ? ce_load_part(from + 2 * whole + CE_LANES, rest_b) : (vf)0.0f;
    ce_store(even + whole, __builtin_shufflevector(a, b, CE_EVEN));
    ce_store(odd + whole, __builtin_shufflevector(a, b, CE_ODD));
  }
}

/* ceil(a / stride), and 0 for negative a; without a division where the stride is 1 or 2. */
static inline int64_t ce_steps(int64_t a, int64_t stride) {
  if (a <= 0) return 0;
  return stride == 1 ? a : stride == 2 ? (a + 1) >> 1 : ce_ceil_div(a, stride);
}

/* Fills planes that were zeroed as a whole with what `rows` output rows from out_row on read of an image plane, whose rows
 * are `pitch` floats apart. */
static inline void ce_fill_planes(const ce_conv_geometry *g, const ce_planes *p, float *to, const float *image, ce_shape in,
                                  int64_t pitch, int64_t out_row, int64_t rows) {
  const int64_t sh = g->stride_h, sw = g->stride_w, left = g->pad_left, input_rows = ce_input_rows(g, rows);
  const int64_t first = out_row * sh - g->pad_top; /* image row of padded row 0 of these planes */
  for (int64_t phase = 0; phase < sh; ++phase) {
    float *planes = to + phase * sw * p->plane;
    /* Row i of this phase is image row first + phase + i * sh; rows [begin, end) are inside the image. */
    const int64_t all = ce_steps(input_rows - phase, sh);
    const int64_t end = ce_min(all, ce_steps(in.h - first - phase, sh)), begin = ce_min(end, ce_steps(-first - phase, sh));
    const float *from = image + (first + phase + begin * sh) * pitch;
    if (p->rows < p->out_h) /* else the other rows are padding whenever these planes are filled */
      for (int64_t v = 0; v < sw; ++v) {
        ce_zero(planes + v * p->plane, begin * p->row);
        ce_zero(planes + v * p->plane + end * p->row, (all - end) * p->row);
      }
    float *row = planes + begin * p->row;
    if (sw == 1) {
      ce_copy_rows(row + left, p->row, from, pitch * sh, in.w, end - begin);
    } else if (sw == 2) {
      /* Image column 0 is in phase left % 2, column 1 in the other one. */
      float *even = row + left % 2 * p->plane + left / 2, *odd = row + (left + 1) % 2 * p->plane + (left + 1) / 2;
      ce_split_rows(even, odd, p->row, from, pitch * sh, in.w, end - begin);
    } else {
      for (int64_t i = begin; i < end; ++i, row += p->row, from += pitch * sh)
        for (int64_t j = 0; j < in.w; ++j) row[(left + j) % sw * p->plane + (left + j) / sw] = from[j];
    }
  }
}

#endif
