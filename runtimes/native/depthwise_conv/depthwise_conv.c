/* Depthwise convolution: each channel's window over its own plane.
 *
 * A plane, or a strip of its rows, is copied into padded planes in L1 (common/planes.h), so that the inner loops know
 * neither edges nor strides. 3×3 and 5×5 windows of stride 1 and 2 are unrolled over several output rows, as each loaded
 * piece of an input row serves all of them. Where a row is much shorter than a vector, all rows are computed as one.
 * Where masked loads are cheap, 3×3 and 5×5 windows need no copies at all (depthwise_conv/direct.h).
 */
#include "common/activate.h"
#include "common/planes.h"
#include "depthwise_conv/direct.h"

#define STRIP_BYTES (24 * 1024)
#if CE_REGISTERS == 32
#define MOST_ROWS 7
#else
#define MOST_ROWS 4
#endif
#define FLAT_VECTORS 4
/* Small planes are filled, computed and written several at a time, as a load waits for a recent store that it overlaps. */
#define GROUP_BYTES (8 * 1024)
#define MOST_GROUPED 8

typedef struct plan_t {
  ce_plan_head head;
  ce_conv_geometry g;
  float clip_min, clip_max;
  int32_t activation;
  const float *weights; /* [C][kernel_h * kernel_w] */
  const float *bias;
} plan_t;

static size_t taps(const ce_conv_geometry *g) { return (size_t)g->kernel_h * (size_t)g->kernel_w; }

static size_t plan_bytes(const void *desc_) {
  const ce_conv_geometry *g = &((const ce_depthwise_conv_desc *)desc_)->geometry;
  if (!ce_usual_stride(g)) return 0;
  return sizeof(plan_t) + 4 * (size_t)g->out_channels * (taps(g) + 1);
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_depthwise_conv_desc *desc = desc_;
  plan->g = desc->geometry;
  plan->clip_min = desc->clip_min, plan->clip_max = desc->clip_max, plan->activation = desc->activation;
  const size_t channels = (size_t)plan->g.out_channels, count = channels * taps(&plan->g);
  float *weights = (float *)(plan + 1), *bias = weights + count;
  for (size_t i = 0; i < count; ++i) weights[i] = desc->weights[i];
  for (size_t i = 0; i < channels; ++i) bias[i] = desc->bias[i];
  plan->weights = weights;
  plan->bias = bias;
}

static ce_planes cut(const ce_conv_geometry *g, ce_shape shape) {
  if (ce_out_w(g, shape) <= CE_LANES / 2) return ce_cut_planes(g, shape, INT64_MAX, 1);
  int64_t rows = MOST_ROWS;
  while (ce_cut_planes(g, shape, rows * 2, 0).total * 4 <= STRIP_BYTES && rows < shape.h) rows *= 2;
  return ce_cut_planes(g, shape, rows, 0);
}

static int64_t flat_pixels(const ce_planes *p) { return (p->out_h - 1) * p->row + p->out_w; }

static int tasks(const void *plan_, ce_shape shape, int threads) {
  const plan_t *plan = plan_;
  return (int)ce_max(1, ce_min(threads, shape.n * plan->g.out_channels));
}

/* Scratch of a task: tap offsets, then the planes of a group of channels, then the outputs of flat planes. */
typedef struct layout_t {
  int64_t group, planes, flat; /* channels; floats of the planes and of the flat outputs of one of them */
  size_t offset_bytes, bytes;
} layout_t;

static layout_t lay_out(const ce_conv_geometry *g, const ce_planes *p) {
  layout_t l;
  l.planes = (int64_t)ce_round_up((size_t)p->total, CE_LANES);
  l.flat = p->flat ? (int64_t)ce_round_up((size_t)flat_pixels(p), CE_LANES) + CE_LANES : 0;
  l.group = p->rows < p->out_h ? 1 : ce_max(1, ce_min(MOST_GROUPED, GROUP_BYTES / (4 * (l.planes + l.flat))));
  l.offset_bytes = ce_round_up(taps(g) * sizeof(int64_t), 64);
  l.bytes = ce_round_up(l.offset_bytes + 4 * (size_t)((l.planes + l.flat) * l.group), 64);
  return l;
}

static size_t scratch_bytes(const void *plan_, ce_shape shape, int threads) {
  const plan_t *plan = plan_;
  const ce_planes p = cut(&plan->g, shape);
  return lay_out(&plan->g, &p).bytes * (size_t)tasks(plan, shape, threads);
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

CE_NOINLINE void sum_3x3_s1(const job_t *job, int64_t rows) { sum_all_rows(*job, 3, 3, 1, rows); }
CE_NOINLINE void sum_3x3_s2(const job_t *job, int64_t rows) { sum_all_rows(*job, 3, 3, 2, rows); }
CE_NOINLINE void sum_5x5_s1(const job_t *job, int64_t rows) { sum_all_rows(*job, 5, 5, 1, rows); }
CE_NOINLINE void sum_5x5_s2(const job_t *job, int64_t rows) { sum_all_rows(*job, 5, 5, 2, rows); }

CE_NOINLINE void sum_general(const job_t *job, int64_t taps, int64_t rows) {
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

CE_INLINE void sum_flat_vectors(const job_t *job, float *flat, int64_t at, const int taps, const int vectors) {
  vf sum[FLAT_VECTORS];
  CE_UNROLL for (int v = 0; v < vectors; ++v) sum[v] = ce_splat(job->bias);
  for (int tap = 0; tap < taps; ++tap) {
    const float *from = job->from + job->offset[tap] + at;
    const vf weight = ce_splat(job->weights[tap]);
    CE_UNROLL for (int v = 0; v < vectors; ++v) sum[v] += weight * ce_load(from + v * CE_LANES);
  }
  const vf lowest = ce_splat(job->clip_min), highest = ce_splat(job->clip_max);
  CE_UNROLL for (int v = 0; v < vectors; ++v) ce_store(flat + at + v * CE_LANES, ce_clip(sum[v], lowest, highest));
}

/* All rows as one row. */
CE_INLINE void sum_flat(const job_t *job, float *flat, const int taps) {
  const int64_t pixels = flat_pixels(job->planes);
  int64_t at = 0;
  for (; at + (FLAT_VECTORS - 1) * CE_LANES < pixels; at += FLAT_VECTORS * CE_LANES)
    sum_flat_vectors(job, flat, at, taps, FLAT_VECTORS);
  const int64_t left = ce_ceil_div(pixels - at, CE_LANES);
  if (left == 3) sum_flat_vectors(job, flat, at, taps, 3);
  if (left == 2) sum_flat_vectors(job, flat, at, taps, 2);
  if (left == 1) sum_flat_vectors(job, flat, at, taps, 1);
}

CE_NOINLINE void sum_flat_9(const job_t *job, float *flat) { sum_flat(job, flat, 9); }
CE_NOINLINE void sum_flat_general(const job_t *job, float *flat, int64_t taps) { sum_flat(job, flat, (int)taps); }

/* Each row to its place, ascending, as a whole vector spills into later rows. */
CE_NOINLINE void spread_flat(const ce_planes *p, float *to, const float *flat) {
  const int64_t pixels = p->out_w * p->out_h;
  int64_t at = 0;
  for (; at + CE_LANES <= pixels; at += p->out_w, flat += p->row) ce_store(to + at, ce_load(flat));
  for (; at < pixels; at += p->out_w, flat += p->row) ce_store_part(to + at, ce_load(flat), (int)p->out_w);
}

static void sum_strip(const ce_conv_geometry *g, const job_t *job, int64_t rows) {
  const int square = g->kernel_h == g->kernel_w && g->stride_h == g->stride_w && g->dilation_h == 1 && g->dilation_w == 1;
  if (square && g->kernel_h == 3 && g->stride_h == 1) sum_3x3_s1(job, rows);
  else if (square && g->kernel_h == 3 && g->stride_h == 2) sum_3x3_s2(job, rows);
  else if (square && g->kernel_h == 5 && g->stride_h == 1) sum_5x5_s1(job, rows);
  else if (square && g->kernel_h == 5 && g->stride_h == 2) sum_5x5_s2(job, rows);
  else sum_general(job, (int64_t)taps(g), rows);
}

static job_t job_of(const plan_t *plan, const ce_planes *p, const int64_t *offset, const float *planes, int64_t image,
                    float *y) {
  const int64_t c = image % plan->g.out_channels;
  return (job_t){
      .weights = plan->weights + (size_t)c * taps(&plan->g),
      .bias = plan->bias[c],
      .clip_min = plan->clip_min,
      .clip_max = plan->clip_max,
      .from = planes,
      .planes = p,
      .offset = offset,
      .to = y,
  };
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_conv_geometry *g = &plan->g;
  const ce_shape in = run->shape;
  const ce_planes p = cut(g, in);
  const layout_t l = lay_out(g, &p);
  const ce_band band = ce_band_of(g, run);
  const int64_t images = in.n * g->out_channels, all = tasks(plan, in, run->threads);
  const int64_t begin = band.channels ? band.channel : images * task / all;
  const int64_t end = band.channels ? begin + band.channels : images * (task + 1) / all;
  int64_t *offset = (int64_t *)((char *)run->scratch + (size_t)task * l.bytes);
  if (is_direct(g, p.out_w)) {
    const planes_t all_planes = {.g = g, .weights = plan->weights, .bias = plan->bias, .clip_min = plan->clip_min,
                                 .clip_max = plan->clip_max, .activation = plan->activation, .in = in, .band = band,
                                 .x = run->x, .y = run->y};
    run_direct(&all_planes, (float *)offset, begin, end);
    return;
  }
  float *planes = (float *)((char *)offset + l.offset_bytes), *flat = planes + l.planes * l.group;
  ce_zero(planes, l.planes * l.group);
  for (int64_t kh = 0, tap = 0; kh < g->kernel_h; ++kh)
    for (int64_t kw = 0; kw < g->kernel_w; ++kw, ++tap) offset[tap] = ce_tap_offset(g, &p, kh, kw);
  for (int64_t image = begin, count; image < end; image += count) {
    count = ce_min(l.group, end - image);
    for (int64_t oh = band.first; oh < band.end; oh += p.rows) {
      const int64_t rows = ce_min(p.rows, band.end - oh);
      for (int64_t i = 0; i < count; ++i)
        ce_fill_planes(g, &p, planes + i * l.planes, run->x + (image + i) * band.x_plane, in, in.w, oh, rows);
      for (int64_t i = 0; i < count; ++i) {
        float *to = run->y + (image + i) * band.y_plane + oh * p.out_w;
        const job_t job = job_of(plan, &p, offset, planes + i * l.planes, image + i, to);
        if (!p.flat) sum_strip(g, &job, rows);
        else if (taps(g) == 9) sum_flat_9(&job, flat + i * l.flat);
        else sum_flat_general(&job, flat + i * l.flat, (int64_t)taps(g));
      }
      if (p.flat)
        for (int64_t i = 0; i < count; ++i)
          spread_flat(&p, run->y + (image + i) * band.y_plane, flat + i * l.flat);
      for (int64_t i = 0; i < count; ++i)
        ce_activate_stored(run->y + (image + i) * band.y_plane + oh * p.out_w, rows * p.out_w, plan->activation);
    }
  }
}

CE_DEFINE_KERNEL(depthwise_conv, CE_ISA)
