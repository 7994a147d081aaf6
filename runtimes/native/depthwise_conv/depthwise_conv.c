/* Depthwise convolution: each channel's window over its own plane.
 *
 * A plane, or a strip of its rows, is copied into padded planes in L1 (common/planes.h), so that the inner loops know
 * neither edges nor strides. 3×3 and 5×5 windows of stride 1 and 2 are unrolled over several output rows, as each loaded
 * piece of an input row serves all of them. Where a row is much shorter than a vector, all rows are computed as one.
 */
#include "common/planes.h"

#define STRIP_BYTES (24 * 1024)
#if CE_REGISTERS == 32
#define MOST_ROWS 7
#else
#define MOST_ROWS 4
#endif
#define FLAT_VECTORS 4

typedef struct plan_t {
  ce_plan_head head;
  ce_conv_geometry g;
  float clip_min, clip_max;
  const float *weights; /* [C][kernel_h * kernel_w] */
  const float *bias;
} plan_t;

static size_t taps(const ce_conv_geometry *g) { return (size_t)g->kernel_h * (size_t)g->kernel_w; }

static size_t plan_bytes(const void *desc_) {
  const ce_conv_geometry *g = &((const ce_depthwise_conv_desc *)desc_)->geometry;
  return sizeof(plan_t) + 4 * (size_t)g->out_channels * (taps(g) + 1);
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_depthwise_conv_desc *desc = desc_;
  plan->g = desc->geometry;
  plan->clip_min = desc->clip_min, plan->clip_max = desc->clip_max;
  const size_t channels = (size_t)plan->g.out_channels, count = channels * taps(&plan->g);
  float *weights = (float *)(plan + 1), *bias = weights + count;
  for (size_t i = 0; i < count; ++i) weights[i] = desc->weights[i];
  for (size_t i = 0; i < channels; ++i) bias[i] = desc->bias[i];
  plan->weights = weights;
  plan->bias = bias;
}

static ce_planes cut(const ce_conv_geometry *g, ce_shape shape) {
  if (ce_out_w(g, shape) <= CE_LANES / 2) return ce_cut_planes(g, shape, 0, 1);
  int64_t rows = MOST_ROWS;
  while (ce_cut_planes(g, shape, rows * 2, 0).total * 4 <= STRIP_BYTES && rows < shape.h) rows *= 2;
  return ce_cut_planes(g, shape, rows, 0);
}

static int64_t flat_pixels(const ce_planes *p) { return (p->out_h - 1) * p->row + p->out_w; }

static int tasks(const void *plan_, ce_shape shape, int threads) {
  const plan_t *plan = plan_;
  return (int)ce_max(1, ce_min(threads, shape.n * plan->g.out_channels));
}

/* Tap offsets, planes, and the outputs of flat planes. */
static size_t offset_bytes(const ce_conv_geometry *g) { return ce_round_up(taps(g) * sizeof(int64_t), 64); }

static size_t task_scratch_bytes(const ce_conv_geometry *g, const ce_planes *p) {
  const size_t flat = p->flat ? ce_round_up((size_t)flat_pixels(p), FLAT_VECTORS * CE_LANES) + CE_LANES : 0;
  return ce_round_up(offset_bytes(g) + 4 * (ce_round_up((size_t)p->total, CE_LANES) + flat), 64);
}

static size_t scratch_bytes(const void *plan_, ce_shape shape, int threads) {
  const plan_t *plan = plan_;
  const ce_planes p = cut(&plan->g, shape);
  return task_scratch_bytes(&plan->g, &p) * (size_t)tasks(plan, shape, threads);
}

typedef struct job_t {
  const float *weights;
  float bias, clip_min, clip_max;
  const float *from; /* padded planes, at the first output row */
  const ce_planes *planes;
  const int64_t *offset; /* of each tap */
  float *to;
} job_t;

/* `rows` output rows of a kh×kw window of stride s, without dilation; all but the job are constants. */
CE_INLINE void sum_rows(const job_t *job, const int kh, const int kw, const int s, const int rows) {
  const vf lowest = ce_splat(job->clip_min), highest = ce_splat(job->clip_max);
  const int64_t row = job->planes->row, plane = job->planes->plane, out_w = job->planes->out_w;
  for (int64_t at = 0; at < out_w; at += CE_LANES) {
    vf sum[MOST_ROWS];
    CE_UNROLL for (int r = 0; r < rows; ++r) sum[r] = ce_splat(job->bias);
    CE_UNROLL for (int i = 0; i < (rows - 1) * s + kh; ++i) {
      const float *from = job->from + i % s * s * plane + i / s * row + at;
      CE_UNROLL for (int j = 0; j < kw; ++j) {
        const vf x = ce_load(from + j % s * plane + j / s);
        CE_UNROLL for (int r = 0; r < rows; ++r)
          if (i - r * s >= 0 && i - r * s < kh) sum[r] += ce_splat(job->weights[(i - r * s) * kw + j]) * x;
      }
    }
    const int64_t left = out_w - at;
    CE_UNROLL for (int r = 0; r < rows; ++r) {
      float *to = job->to + r * out_w + at;
      const vf result = ce_clip(sum[r], lowest, highest);
      if (left >= CE_LANES) ce_store(to, result);
      else ce_store_part(to, result, (int)left);
    }
  }
}

#define STEP(n)                                                                                              \
  for (; rows >= (n); rows -= (n), job.from += (n)*job.planes->row, job.to += (n)*job.planes->out_w) \
  sum_rows(&job, kh, kw, s, n)

CE_INLINE void sum_all_rows(job_t job, const int kh, const int kw, const int s, int64_t rows) {
#if MOST_ROWS == 7
  if (kh == 3 && rows % 7 == 0) STEP(7);
  if (kh == 3 && rows % 6 == 0) STEP(6);
#endif
  STEP(4);
  STEP(2);
  STEP(1);
}

static void sum_3x3_s1(const job_t *job, int64_t rows) { sum_all_rows(*job, 3, 3, 1, rows); }
static void sum_3x3_s2(const job_t *job, int64_t rows) { sum_all_rows(*job, 3, 3, 2, rows); }
static void sum_5x5_s1(const job_t *job, int64_t rows) { sum_all_rows(*job, 5, 5, 1, rows); }
static void sum_5x5_s2(const job_t *job, int64_t rows) { sum_all_rows(*job, 5, 5, 2, rows); }

static void sum_general(const job_t *job, int64_t taps, int64_t rows) {
  const vf lowest = ce_splat(job->clip_min), highest = ce_splat(job->clip_max);
  const int64_t out_w = job->planes->out_w;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t at = 0; at < out_w; at += CE_LANES) {
      vf sum = ce_splat(job->bias);
      for (int64_t tap = 0; tap < taps; ++tap)
        sum += ce_splat(job->weights[tap]) * ce_load(job->from + r * job->planes->row + job->offset[tap] + at);
      ce_store_part(job->to + r * out_w + at, ce_clip(sum, lowest, highest), (int)ce_min(CE_LANES, out_w - at));
    }
}

CE_INLINE void sum_flat_taps(const job_t *job, float *flat, const int taps) {
  const vf lowest = ce_splat(job->clip_min), highest = ce_splat(job->clip_max);
  const int64_t pixels = flat_pixels(job->planes), step = FLAT_VECTORS * CE_LANES;
  for (int64_t at = 0; at < pixels; at += step) {
    vf sum[FLAT_VECTORS];
    CE_UNROLL for (int v = 0; v < FLAT_VECTORS; ++v) sum[v] = ce_splat(job->bias);
    for (int tap = 0; tap < taps; ++tap) {
      const float *from = job->from + job->offset[tap] + at;
      const vf weight = ce_splat(job->weights[tap]);
      CE_UNROLL for (int v = 0; v < FLAT_VECTORS; ++v) sum[v] += weight * ce_load(from + v * CE_LANES);
    }
    CE_UNROLL for (int v = 0; v < FLAT_VECTORS; ++v) ce_store(flat + at + v * CE_LANES, ce_clip(sum[v], lowest, highest));
  }
}

/* All rows as one, into `flat`; then each row to its place, ascending, as a whole vector may spill into later rows. */
static void sum_flat(const job_t *job, float *flat, int64_t taps) {
  const int64_t out_w = job->planes->out_w, pixels = out_w * job->planes->out_h;
  if (taps == 9) sum_flat_taps(job, flat, 9);
  else sum_flat_taps(job, flat, (int)taps);
  for (int64_t at = 0; at < pixels; at += out_w, flat += job->planes->row) {
    if (at + CE_LANES <= pixels) ce_store(job->to + at, ce_load(flat));
    else ce_store_part(job->to + at, ce_load(flat), (int)ce_min(out_w, pixels - at));
  }
}

static void sum_strip(const ce_conv_geometry *g, const job_t *job, int64_t rows) {
  const int square = g->kernel_h == g->kernel_w && g->stride_h == g->stride_w && g->dilation_h == 1 && g->dilation_w == 1;
  if (square && g->kernel_h == 3 && g->stride_h == 1) sum_3x3_s1(job, rows);
  else if (square && g->kernel_h == 3 && g->stride_h == 2) sum_3x3_s2(job, rows);
  else if (square && g->kernel_h == 5 && g->stride_h == 1) sum_5x5_s1(job, rows);
  else if (square && g->kernel_h == 5 && g->stride_h == 2) sum_5x5_s2(job, rows);
  else sum_general(job, (int64_t)taps(g), rows);
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_conv_geometry *g = &plan->g;
  const ce_shape in = run->shape;
  const ce_planes p = cut(g, in);
  const int64_t images = in.n * g->out_channels, all = tasks(plan, in, run->threads);
  int64_t *offset = (int64_t *)((char *)run->scratch + (size_t)task * task_scratch_bytes(g, &p));
  float *planes = (float *)((char *)offset + offset_bytes(g));
  float *flat = planes + ce_round_up((size_t)p.total, CE_LANES);
  ce_zero(planes, p.total);
  for (int64_t kh = 0, tap = 0; kh < g->kernel_h; ++kh)
    for (int64_t kw = 0; kw < g->kernel_w; ++kw, ++tap) offset[tap] = ce_tap_offset(g, &p, kh, kw);
  for (int64_t image = images * task / all; image < images * (task + 1) / all; ++image) {
    const int64_t c = image % g->out_channels;
    for (int64_t oh = 0; oh < p.out_h; oh += p.rows) {
      const int64_t rows = ce_min(p.rows, p.out_h - oh);
      ce_fill_planes(g, &p, planes, run->x + image * in.h * in.w, in, oh, rows);
      const job_t job = {
          .weights = plan->weights + (size_t)c * taps(g),
          .bias = plan->bias[c],
          .clip_min = plan->clip_min,
          .clip_max = plan->clip_max,
          .from = planes,
          .planes = &p,
          .offset = offset,
          .to = run->y + (image * p.out_h + oh) * p.out_w,
      };
      if (p.flat) sum_flat(&job, flat, (int64_t)taps(g));
      else sum_strip(g, &job, rows);
    }
  }
}

CE_DEFINE_KERNEL(depthwise_conv, CE_ISA)
