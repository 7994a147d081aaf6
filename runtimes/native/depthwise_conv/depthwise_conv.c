/* Depthwise convolution: each channel's window over its own plane.
 *
 * Rows are copied into a padded strip in L1 (common/rows.h), so that the inner loop knows no edges and no stride; several
 * output rows are summed at once, as each loaded piece of an input row serves all of them. 3×3 and 5×5 windows of stride 1
 * and 2 are unrolled, others take the general loop.
 */
#include "common/rows.h"

#define STRIP_BYTES (24 * 1024)
#if CE_REGISTERS == 32
#define ROWS 4
#else
#define ROWS 2
#endif

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

typedef struct strip_t {
  int64_t out_h, out_w, length, row, rows; /* floats in a phase and in a row of the strip; output rows of a full strip */
} strip_t;

static int64_t input_rows(const ce_conv_geometry *g, int64_t out_rows) {
  return (out_rows - 1) * g->stride_h + (int64_t)(g->kernel_h - 1) * g->dilation_h + 1;
}

static strip_t cut_strips(const ce_conv_geometry *g, ce_shape shape) {
  strip_t strip = {.out_h = ce_out_h(g, shape), .out_w = ce_out_w(g, shape)};
  strip.length = ce_phase_length(g, shape.w, strip.out_w);
  strip.row = strip.length * g->stride_w;
  strip.rows = ROWS;
  while (strip.rows < strip.out_h && input_rows(g, strip.rows * 2) * strip.row * 4 <= STRIP_BYTES) strip.rows *= 2;
  strip.rows = ce_min(strip.rows, strip.out_h);
  return strip;
}

static int tasks(const void *plan_, ce_shape shape, int threads) {
  const plan_t *plan = plan_;
  return (int)ce_max(1, ce_min(threads, shape.n * plan->g.out_channels));
}

static size_t task_scratch_bytes(const plan_t *plan, const strip_t *strip) {
  return ce_round_up((size_t)(input_rows(&plan->g, strip->rows) * strip->row) * 4, 64);
}

static size_t scratch_bytes(const void *plan_, ce_shape shape, int threads) {
  const plan_t *plan = plan_;
  const strip_t strip = cut_strips(&plan->g, shape);
  return task_scratch_bytes(plan, &strip) * (size_t)tasks(plan, shape, threads);
}

typedef struct job_t {
  const float *weights;
  float bias, clip_min, clip_max;
  const float *from; /* the strip, at the first input row of the first output row */
  int64_t length, row, out_w;
  float *to;
} job_t;

/* ROWS output rows of a KH×KW window of stride s and no dilation. */
CE_INLINE void sum_rows(const job_t *job, const int kh, const int kw, const int s, const int rows) {
  const vf lowest = ce_splat(job->clip_min), highest = ce_splat(job->clip_max);
  for (int64_t at = 0; at < job->out_w; at += CE_LANES) {
    vf sum[ROWS];
    CE_UNROLL for (int r = 0; r < rows; ++r) sum[r] = ce_splat(job->bias);
    CE_UNROLL for (int i = 0; i < (rows - 1) * s + kh; ++i) {
      CE_UNROLL for (int j = 0; j < kw; ++j) {
        const vf x = ce_load(job->from + i * job->row + (j % s) * job->length + j / s + at);
        CE_UNROLL for (int r = 0; r < rows; ++r)
          if (i - r * s >= 0 && i - r * s < kh) sum[r] += ce_splat(job->weights[(i - r * s) * kw + j]) * x;
      }
    }
    const int64_t left = job->out_w - at;
    CE_UNROLL for (int r = 0; r < rows; ++r) {
      float *to = job->to + r * job->out_w + at;
      const vf result = ce_clip(sum[r], lowest, highest);
      if (left >= CE_LANES) ce_store(to, result);
      else ce_store_part(to, result, (int)left);
    }
  }
}

CE_INLINE void sum_all_rows(job_t job, const int kh, const int kw, const int s, int64_t rows) {
  for (; rows >= ROWS; rows -= ROWS, job.from += ROWS * s * job.row, job.to += ROWS * job.out_w)
    sum_rows(&job, kh, kw, s, ROWS);
  for (; rows > 0; --rows, job.from += s * job.row, job.to += job.out_w) sum_rows(&job, kh, kw, s, 1);
}

static void sum_3x3_s1(const job_t *job, int64_t rows) { sum_all_rows(*job, 3, 3, 1, rows); }
static void sum_3x3_s2(const job_t *job, int64_t rows) { sum_all_rows(*job, 3, 3, 2, rows); }
static void sum_5x5_s1(const job_t *job, int64_t rows) { sum_all_rows(*job, 5, 5, 1, rows); }
static void sum_5x5_s2(const job_t *job, int64_t rows) { sum_all_rows(*job, 5, 5, 2, rows); }

static void sum_general(const ce_conv_geometry *g, job_t job, int64_t rows) {
  const vf lowest = ce_splat(job.clip_min), highest = ce_splat(job.clip_max);
  for (; rows > 0; --rows, job.from += g->stride_h * job.row, job.to += job.out_w)
    for (int64_t at = 0; at < job.out_w; at += CE_LANES) {
      vf sum = ce_splat(job.bias);
      for (int64_t i = 0; i < g->kernel_h; ++i)
        for (int64_t j = 0; j < g->kernel_w; ++j)
          sum += ce_splat(job.weights[i * g->kernel_w + j]) *
                 ce_load(job.from + i * g->dilation_h * job.row + ce_tap_offset(g, j, job.length) + at);
      const int64_t left = ce_min(CE_LANES, job.out_w - at);
      ce_store_part(job.to + at, ce_clip(sum, lowest, highest), (int)left);
    }
}

static void sum_strip(const ce_conv_geometry *g, const job_t *job, int64_t rows) {
  const int square = g->kernel_h == g->kernel_w && g->stride_h == g->stride_w && g->dilation_h == 1 && g->dilation_w == 1;
  if (square && g->kernel_h == 3 && g->stride_h == 1) sum_3x3_s1(job, rows);
  else if (square && g->kernel_h == 3 && g->stride_h == 2) sum_3x3_s2(job, rows);
  else if (square && g->kernel_h == 5 && g->stride_h == 1) sum_5x5_s1(job, rows);
  else if (square && g->kernel_h == 5 && g->stride_h == 2) sum_5x5_s2(job, rows);
  else sum_general(g, *job, rows);
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_conv_geometry *g = &plan->g;
  const ce_shape in = run->shape;
  const strip_t strip = cut_strips(g, in);
  const int64_t planes = in.n * g->out_channels, all = tasks(plan, in, run->threads);
  float *scratch = (float *)((char *)run->scratch + (size_t)task * task_scratch_bytes(plan, &strip));
  for (int64_t plane = planes * task / all; plane < planes * (task + 1) / all; ++plane) {
    const int64_t c = plane % g->out_channels;
    const float *x = run->x + plane * in.h * in.w;
    for (int64_t oh = 0; oh < strip.out_h; oh += strip.rows) {
      const int64_t rows = ce_min(strip.rows, strip.out_h - oh), first = oh * g->stride_h - g->pad_top;
      for (int64_t i = 0; i < input_rows(g, rows); ++i)
        ce_pack_row(g, scratch + i * strip.row, strip.length, x, in, first + i);
      const job_t job = {
          .weights = plan->weights + (size_t)c * taps(g),
          .bias = plan->bias[c],
          .clip_min = plan->clip_min,
          .clip_max = plan->clip_max,
          .from = scratch,
          .length = strip.length,
          .row = strip.row,
          .out_w = strip.out_w,
          .to = run->y + (plane * strip.out_h + oh) * strip.out_w,
      };
      sum_strip(g, &job, rows);
    }
  }
}

CE_DEFINE_KERNEL(depthwise_conv, CE_ISA)
