/* 3×3 and 5×5 depthwise windows straight from the image, without a padded copy: loads outside it are masked.
 *
 * Stride 1 loads each tap of an input row; stride 2 loads pairs of vectors and takes their even and odd lanes apart. Planes
 * whose rows are shorter than a vector are computed as one run of pixels, in which a tap is a fixed distance and masks tell
 * the pixels whose tap is in the padding.
 */
#ifndef CE_DEPTHWISE_CONV_DIRECT_H
#define CE_DEPTHWISE_CONV_DIRECT_H

#include "common/activate.h"
#include "common/kernel.h"
#include "common/planes.h"
#include "common/simd.h"

/* Planes of a batch of images: plane i is channel i % out_channels. */
typedef struct planes_t {
  const ce_conv_geometry *g;
  const float *weights, *bias;
  float clip_min, clip_max;
  int activation;
  ce_shape in;
  ce_band band;
  const float *x;
  float *y;
} planes_t;

#if defined(CE_MASKED_LOADS)

#if CE_REGISTERS == 32
#define DIRECT_ROWS 7
/* The nine weights stay in registers: as memory operands they would take the place of loads of the image. */
#define CE_KEEP(vector) __asm__("" : "+v"(vector))
#else
#define DIRECT_ROWS 4
#define CE_KEEP(vector) __asm__("" : "+x"(vector))
#endif
#define MOST_WINDOW 5
#define MOST_LOADS 6

typedef struct direct_t {
  const float *image, *zeros, *weights; /* zeros: a row of them */
  float bias, clip_min, clip_max;
  int64_t h, w, out_w, pad_top, pad_left;
} direct_t;

/* The loads that the k taps of an output vector need of an input row, and the column at which the i-th begins. */
CE_INLINE int load_count(const int k, const int s) { return s == 1 ? k : (k + 1) / 2 * 2; }
CE_INLINE int64_t load_column(const int i, const int s) { return s == 1 ? i : i / 2 * 2 + i % 2 * CE_LANES; }

CE_INLINE void find_masks(const direct_t *job, int64_t at, ce_mask *mask, const int k, const int s) {
  CE_UNROLL for (int i = 0; i < load_count(k, s); ++i) {
    const int64_t column = at * s - job->pad_left + load_column(i, s);
    mask[i] = ce_lanes(-column, job->w - column);
  }
}

CE_INLINE vf load_some(const float *from, ce_mask mask, const int masked) {
  return masked ? ce_load_lanes(from, mask) : ce_load(from);
}

CE_INLINE void load_taps(const float *from, const ce_mask *mask, vf *x, const int masked, const int k, const int s) {
  if (s == 1) {
    CE_UNROLL for (int j = 0; j < k; ++j) x[j] = load_some(from + j, mask[j], masked);
    return;
  }
  CE_UNROLL for (int j = 0; j < k; j += 2) {
    const vf a = load_some(from + j, mask[j], masked), b = load_some(from + j + CE_LANES, mask[j + 1], masked);
    x[j] = __builtin_shufflevector(a, b, CE_EVEN);
    if (j + 1 < k) x[j + 1] = __builtin_shufflevector(a, b, CE_ODD);
  }
}

/* One vector of each of `rows` output rows; row[i] is the i-th input row at output column 0. */
CE_INLINE void sum_column(const direct_t *job, const uintptr_t *row, const vf *weight, const ce_mask *mask, float *to,
                          int64_t at, const int masked, const int k, const int s, const int rows) {
  const vf lowest = ce_splat(job->clip_min), highest = ce_splat(job->clip_max);
  vf sum[DIRECT_ROWS];
  CE_UNROLL for (int r = 0; r < rows; ++r) sum[r] = ce_splat(job->bias);
  CE_UNROLL for (int i = 0; i < (rows - 1) * s + k; ++i) {
    vf x[MOST_WINDOW];
    load_taps((const float *)row[i] + at * s, mask, x, masked, k, s);
    CE_UNROLL for (int j = 0; j < k; ++j)
      CE_UNROLL for (int r = 0; r < rows; ++r)
        if (i - r * s >= 0 && i - r * s < k) sum[r] += weight[(i - r * s) * k + j] * x[j];
  }
  const int64_t left = job->out_w - at;
  if (!masked || left >= CE_LANES)
    CE_UNROLL for (int r = 0; r < rows; ++r) ce_store(to + r * job->out_w + at, ce_clip(sum[r], lowest, highest));
  else
    CE_UNROLL for (int r = 0; r < rows; ++r)
      ce_store_part(to + r * job->out_w + at, ce_clip(sum[r], lowest, highest), (int)left);
}

/* Output rows oh to oh + rows - 1. */
CE_INLINE void sum_direct(const direct_t *job, const vf *weight, const ce_mask *narrow, float *to, int64_t oh,
                          const int k, const int s, const int rows) {
  const int64_t w = job->w, h = job->h, out_w = job->out_w, first = oh * s - job->pad_top;
  const uintptr_t zeros = (uintptr_t)(job->zeros - job->pad_left);
  uintptr_t row[(DIRECT_ROWS - 1) * 2 + MOST_WINDOW], in_image = (uintptr_t)(job->image + first * w - job->pad_left);
  CE_UNROLL for (int i = 0; i < (rows - 1) * s + k; ++i, in_image += (uintptr_t)w * sizeof(float)) {
    const uintptr_t inside = -(uintptr_t)((uint64_t)(first + i) < (uint64_t)h);
    row[i] = zeros + ((in_image - zeros) & inside); /* no branch, as it would not be predicted */
  }
  if (narrow) {
    sum_column(job, row, weight, narrow, to, 0, 1, k, s, rows);
    return;
  }
  /* Vectors whose loads are all inside the image need no masks. */
  const int64_t reach = load_column(load_count(k, s) - 1, s) + CE_LANES;
  for (int64_t at = 0; at < out_w; at += CE_LANES) {
    ce_mask mask[MOST_LOADS];
    if (at * s >= job->pad_left && at * s - job->pad_left + reach <= w && at + CE_LANES <= out_w) {
      sum_column(job, row, weight, mask, to, at, 0, k, s, rows);
    } else {
      find_masks(job, at, mask, k, s);
      sum_column(job, row, weight, mask, to, at, 1, k, s, rows);
    }
  }
}

#define DIRECT_STEP(n) \
  for (; oh + (n) <= out_h && (n) <= DIRECT_ROWS; oh += (n), to += (n)*job->out_w) \
  sum_direct(job, weight, narrow, to, oh, k, s, n)

CE_INLINE void sum_plane(const direct_t *job, const ce_mask *narrow, float *to, int64_t oh, int64_t out_h, const int k,
                         const int s) {
  vf weight[MOST_WINDOW * MOST_WINDOW];
  CE_UNROLL for (int i = 0; i < k * k; ++i) {
    weight[i] = ce_splat(job->weights[i]);
    if (k == 3) CE_KEEP(weight[i]);
  }
  const int64_t rows = out_h - oh;
#if DIRECT_ROWS == 7
  /* No row alone at the end where it can be helped: 8 are 4 and 4, 9 are 6 and 3. */
  if (k == 3 && (rows % 7 == 0 || rows == 11 || rows > 12)) DIRECT_STEP(7);
  if (k == 3 && rows != 8) DIRECT_STEP(6);
#endif
  if (rows % 4 != 1 || rows > 5) DIRECT_STEP(4);
  DIRECT_STEP(3);
  DIRECT_STEP(2);
  DIRECT_STEP(1);
}

CE_INLINE void run_window(const planes_t *planes, const float *zeros, int64_t begin, int64_t end, const int k,
                          const int s) {
  const ce_conv_geometry *g = planes->g;
  const ce_shape in = planes->in;
  const int64_t out_w = ce_out_w(g, in);
  const ce_band *band = &planes->band;
  direct_t job = {.zeros = zeros, .clip_min = planes->clip_min, .clip_max = planes->clip_max, .h = in.h, .w = in.w,
                  .out_w = out_w, .pad_top = g->pad_top, .pad_left = g->pad_left};
  ce_mask narrow[MOST_LOADS];
  find_masks(&job, 0, narrow, k, s);
  for (int64_t plane = begin; plane < end; ++plane) {
    const int64_t channel = plane % g->out_channels;
    job.image = planes->x + plane * band->x_plane;
    job.weights = planes->weights + channel * k * k;
    job.bias = planes->bias[channel];
    float *to = planes->y + plane * band->y_plane + band->first * out_w;
    const float *next = job.image + ((band->end - 1) * s - g->pad_top + k) * in.w;
    for (int64_t i = 0; i < band->ahead; i += 16) __builtin_prefetch(next + i, 0, 2);
    if (out_w <= CE_LANES) sum_plane(&job, narrow, to, band->first, band->end, k, s);
    else sum_plane(&job, 0, to, band->first, band->end, k, s);
    ce_activate_stored(to, (band->end - band->first) * out_w, planes->activation);
  }
}

CE_NOINLINE void run_3x3_s1(const planes_t *p, const float *zeros, int64_t begin, int64_t end) {
  run_window(p, zeros, begin, end, 3, 1);
}
CE_NOINLINE void run_3x3_s2(const planes_t *p, const float *zeros, int64_t begin, int64_t end) {
  run_window(p, zeros, begin, end, 3, 2);
}
CE_NOINLINE void run_5x5_s1(const planes_t *p, const float *zeros, int64_t begin, int64_t end) {
  run_window(p, zeros, begin, end, 5, 1);
}
CE_NOINLINE void run_5x5_s2(const planes_t *p, const float *zeros, int64_t begin, int64_t end) {
  run_window(p, zeros, begin, end, 5, 2);
}

#if CE_LANES == 16
#define RUN_VECTORS 64
#define MOST_VECTORS 4 /* at a time, and one more at each side */
#define MOST_PLANES 2
#define MOST_WIDTH 14 /* measured: rows of 15 are as fast one by one */

/* Of a plane whose pixels are one run, for each 16 of them: those that a load of row kh of the window has, beginning with
 * the vector before the first, and those whose tap in column kw is in the row. */
typedef struct run_masks {
  ce_mask row[MOST_WINDOW][RUN_VECTORS + 2], column[MOST_WINDOW][RUN_VECTORS];
} run_masks;

CE_INLINE void find_run_masks(run_masks *mask, int64_t h, int64_t w, const int k) {
  const int64_t pixels = h * w, vectors = ce_ceil_div(pixels, CE_LANES);
  for (int kh = 0; kh < k; ++kh)
    for (int64_t v = 0; v < vectors + 2; ++v) {
      const int64_t first = (v - 1) * CE_LANES + (kh - k / 2) * w;
      mask->row[kh][v] = ce_lanes(-first, pixels - first);
    }
  for (int kw = 0; kw < k; ++kw)
    for (int64_t v = 0; v < vectors; ++v) mask->column[kw][v] = 0xFFFF;
  for (int64_t first = 0; first < pixels; first += w)
    for (int out = 0; out < k / 2; ++out) {
      const int64_t near = first + out, far = first + w - 1 - out;
      for (int kw = 0; kw < k / 2 - out; ++kw) mask->column[kw][near / CE_LANES] &= (ce_mask)~(1u << near % CE_LANES);
      for (int kw = k - 1; kw > k / 2 + out; --kw) mask->column[kw][far / CE_LANES] &= (ce_mask)~(1u << far % CE_LANES);
    }
}

/* `vectors` vectors of pixels from `at`, a multiple of 16, of each of `planes` planes, for which masks are read once. */
CE_INLINE void sum_run(const planes_t *p, const run_masks *mask, int64_t begin, int64_t at, const int k, const int planes,
                       const int vectors) {
  const int64_t w = p->in.w, pixels = p->in.h * w, first = at / CE_LANES, channel = begin % p->g->out_channels;
  const float *weights = p->weights + channel * k * k;
  vf sum[MOST_PLANES][MOST_VECTORS];
  CE_UNROLL for (int i = 0; i < planes; ++i)
    CE_UNROLL for (int v = 0; v < vectors; ++v) sum[i][v] = ce_splat(p->bias[channel + i]);
  CE_UNROLL for (int kh = 0; kh < k; ++kh) {
    const uintptr_t from = (uintptr_t)(p->x + begin * pixels) + (uintptr_t)((kh - k / 2) * w + at - CE_LANES) * sizeof(float);
    vf x[MOST_PLANES][MOST_VECTORS + 2];
    CE_UNROLL for (int v = 0; v < vectors + 2; ++v)
      CE_UNROLL for (int i = 0; i < planes; ++i)
        x[i][v] = ce_load_lanes((const float *)from + i * pixels + v * CE_LANES, mask->row[kh][first + v]);
    CE_UNROLL for (int kw = 0; kw < k; ++kw)
      CE_UNROLL for (int v = 0; v < vectors; ++v)
        CE_UNROLL for (int i = 0; i < planes; ++i)
          sum[i][v] += ce_splat(weights[(i * k + kh) * k + kw]) *
                       ce_moved_lanes(x[i] + v, kw - k / 2, mask->column[kw][first + v]);
  }
  const vf lowest = ce_splat(p->clip_min), highest = ce_splat(p->clip_max);
  const int tail = (int)ce_min(CE_LANES, pixels - at - (vectors - 1) * CE_LANES);
  float *to = p->y + begin * pixels + at;
  CE_UNROLL for (int i = 0; i < planes; ++i, to += pixels) {
    CE_UNROLL for (int v = 0; v < vectors - 1; ++v) ce_store(to + v * CE_LANES, ce_clip(sum[i][v], lowest, highest));
    ce_store_part(to + (vectors - 1) * CE_LANES, ce_clip(sum[i][vectors - 1], lowest, highest), tail);
  }
}

CE_INLINE void sum_planes(const planes_t *p, const run_masks *mask, int64_t begin, const int k, const int planes) {
  const int64_t pixels = p->in.h * p->in.w;
  int64_t left = ce_ceil_div(pixels, CE_LANES);
  for (int64_t at = 0; left > 0;) {
    const int64_t some = ce_ceil_div(left, ce_ceil_div(left, MOST_VECTORS)); /* 5 are 3 and 2 */
    if (some == 4) sum_run(p, mask, begin, at, k, planes, 4);
    else if (some == 3) sum_run(p, mask, begin, at, k, planes, 3);
    else if (some == 2) sum_run(p, mask, begin, at, k, planes, 2);
    else sum_run(p, mask, begin, at, k, planes, 1);
    at += some * CE_LANES, left -= some;
  }
  ce_activate_stored(p->y + begin * pixels, planes * pixels, p->activation);
}

CE_INLINE void sum_runs(const planes_t *p, int64_t begin, int64_t end, const int k) {
  run_masks mask;
  find_run_masks(&mask, p->in.h, p->in.w, k);
  while (begin < end) {
    const int both = begin + MOST_PLANES <= end && begin % p->g->out_channels + MOST_PLANES <= p->g->out_channels;
    if (both) sum_planes(p, &mask, begin, k, MOST_PLANES);
    else sum_planes(p, &mask, begin, k, 1);
    begin += both ? MOST_PLANES : 1;
  }
}

CE_NOINLINE void sum_runs_3x3(const planes_t *p, int64_t begin, int64_t end) { sum_runs(p, begin, end, 3); }
CE_NOINLINE void sum_runs_5x5(const planes_t *p, int64_t begin, int64_t end) { sum_runs(p, begin, end, 5); }

/* Whether rows are short and the window keeps the planes' size; if so they are done. */
static int run_narrow(const planes_t *p, int64_t begin, int64_t end) {
  const ce_conv_geometry *g = p->g;
  const int64_t h = p->in.h, w = p->in.w, pixels = h * w; /* contiguous planes, all of them */
  const int pad = g->kernel_h / 2;
  const int same = g->pad_top == pad && g->pad_left == pad && g->pad_bottom == pad && g->pad_right == pad;
  if (g->stride_h != 1 || !same || w < pad || w > MOST_WIDTH || pixels > RUN_VECTORS * CE_LANES) return 0;
  if (p->band.first || p->band.end < h || p->band.x_plane != pixels || p->band.y_plane != pixels) return 0;
  if (g->kernel_h == 3) sum_runs_3x3(p, begin, end);
  else sum_runs_5x5(p, begin, end);
  return 1;
}
#else
static int run_narrow(const planes_t *p, int64_t begin, int64_t end) {
  (void)p, (void)begin, (void)end;
  return 0;
}
#endif

/* Measured: where a masked load takes an instruction of its own, copies cost less for rows longer than a vector. */
static int is_direct(const ce_conv_geometry *g, int64_t out_w) {
  if (CE_LANES < 16 && out_w > CE_LANES) return 0;
  return g->kernel_h == g->kernel_w && (g->kernel_h == 3 || g->kernel_h == 5) && g->stride_h == g->stride_w &&
         g->stride_h <= 2 && g->dilation_h == 1 && g->dilation_w == 1;
}

/* Planes begin to end - 1; zeros: room for a row of the image. */
static void run_direct(const planes_t *planes, float *zeros, int64_t begin, int64_t end) {
  if (run_narrow(planes, begin, end)) return;
  const ce_conv_geometry *g = planes->g;
  ce_zero(zeros, planes->in.w);
  if (g->kernel_h == 3 && g->stride_h == 1) run_3x3_s1(planes, zeros, begin, end);
  else if (g->kernel_h == 3) run_3x3_s2(planes, zeros, begin, end);
  else if (g->stride_h == 1) run_5x5_s1(planes, zeros, begin, end);
  else run_5x5_s2(planes, zeros, begin, end);
}

#else
static int is_direct(const ce_conv_geometry *g, int64_t out_w) {
  (void)g, (void)out_w;
  return 0;
}
static void run_direct(const planes_t *planes, float *zeros, int64_t begin, int64_t end) {
  (void)planes, (void)zeros, (void)begin, (void)end;
}
#endif

#endif
