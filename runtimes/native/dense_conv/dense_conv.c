/* Dense convolution for the first layer of a network: few input channels, any window.
 *
 * Strips of output rows; the input rows of a strip, of all channels, are copied into padded planes (common/planes.h); then
 * blocks of OUTS output channels × VECTORS vectors of a row are summed in registers, tap by tap.
 */
#include "common/activate.h"
#include "common/planes.h"

#define STRIP_BYTES (24 * 1024)
#define OUTS 4
#if CE_REGISTERS == 32
#define VECTORS 4
#else
#define VECTORS 2 /* three, with their inputs and a weight, would take all 16 registers: one is then spilled for each tap */
#endif

typedef struct plan_t {
  ce_plan_head head;
  ce_conv_geometry g;
  float clip_min, clip_max;
  int32_t activation;
  const float *weights; /* [ceil(M / OUTS)][taps][OUTS], rows beyond M are 0 */
  const float *bias;    /* [ceil(M / OUTS) * OUTS] */
} plan_t;

static size_t taps(const ce_conv_geometry *g) { return (size_t)g->in_channels * (size_t)g->kernel_h * (size_t)g->kernel_w; }
static size_t padded_outs(const ce_conv_geometry *g) { return ce_round_up((size_t)g->out_channels, OUTS); }

static size_t plan_bytes(const void *desc_) {
  const ce_conv_geometry *g = &((const ce_dense_conv_desc *)desc_)->geometry;
  if (!ce_usual_stride(g)) return 0;
  return ce_round_up(sizeof(plan_t), 64) + 4 * padded_outs(g) * (taps(g) + 1);
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_dense_conv_desc *desc = desc_;
  plan->g = desc->geometry;
  plan->clip_min = desc->clip_min, plan->clip_max = desc->clip_max, plan->activation = desc->activation;
  const size_t count = taps(&plan->g), outs = padded_outs(&plan->g), m = (size_t)plan->g.out_channels;
  float *weights = (float *)((char *)plan + ce_round_up(sizeof(plan_t), 64)), *bias = weights + outs * count;
  for (size_t out = 0; out < outs; ++out) {
    bias[out] = out < m ? desc->bias[out] : 0;
    for (size_t tap = 0; tap < count; ++tap)
      weights[(out / OUTS * count + tap) * OUTS + out % OUTS] = out < m ? desc->weights[out * count + tap] : 0;
  }
  plan->weights = weights;
  plan->bias = bias;
}

/* Strips of as many rows as fit, and as leave one for each thread: what a pixel is summed from does not depend on them. */
static ce_planes cut(const ce_conv_geometry *g, ce_shape shape, int threads) {
  int64_t rows = 1, too_many = ce_ceil_div(ce_out_h(g, shape), ce_ceil_div(threads, ce_max(1, shape.n))) + 1;
  while (too_many - rows > 1) {
    const int64_t middle = rows + (too_many - rows) / 2;
    if (ce_cut_planes(g, shape, middle, 0).total * g->in_channels * 4 <= STRIP_BYTES) rows = middle;
    else too_many = middle;
  }
  return ce_cut_planes(g, shape, rows, 0);
}

static int64_t strips(const ce_planes *p) { return ce_ceil_div(p->out_h, p->rows); }

static int tasks(const void *plan_, ce_shape shape, int threads) {
  const ce_planes p = cut(&((const plan_t *)plan_)->g, shape, threads);
  return (int)ce_max(1, ce_min(threads, shape.n * strips(&p)));
}

/* Where each tap begins in the planes, and the planes of all input channels. */
static size_t offset_bytes(const ce_conv_geometry *g) { return ce_round_up(taps(g) * sizeof(int64_t), 64); }

static size_t task_scratch_bytes(const ce_conv_geometry *g, const ce_planes *p) {
  return ce_round_up(offset_bytes(g) + (size_t)(p->total * g->in_channels) * 4, 64);
}

static size_t scratch_bytes(const void *plan_, ce_shape shape, int threads) {
  const plan_t *plan = plan_;
  const ce_planes p = cut(&plan->g, shape, threads);
  return task_scratch_bytes(&plan->g, &p) * (size_t)tasks(plan, shape, threads);
}

typedef struct job_t {
  const float *weights, *bias, *from;
  const int64_t *tap_offset;
  int64_t taps;
  float clip_min, clip_max;
  float *to;          /* first of OUTS planes */
  int64_t out_plane;  /* floats from plane to plane */
  int outs;           /* planes to write, at most OUTS */
  int tail;           /* pixels in the last vector */
} job_t;

CE_INLINE void sum_block(const job_t *job, const int vectors) {
  vf sum[OUTS][VECTORS];
  CE_UNROLL for (int o = 0; o < OUTS; ++o)
    CE_UNROLL for (int v = 0; v < vectors; ++v) sum[o][v] = ce_splat(job->bias[o]);
  const float *weight = job->weights;
  for (int64_t tap = 0; tap < job->taps; ++tap, weight += OUTS) {
    const float *from = job->from + job->tap_offset[tap];
    vf x[VECTORS];
    CE_UNROLL for (int v = 0; v < vectors; ++v) x[v] = ce_load(from + v * CE_LANES);
    CE_UNROLL for (int o = 0; o < OUTS; ++o)
      CE_UNROLL for (int v = 0; v < vectors; ++v) sum[o][v] += ce_splat(weight[o]) * x[v];
  }
  const vf lowest = ce_splat(job->clip_min), highest = ce_splat(job->clip_max);
  CE_UNROLL for (int o = 0; o < OUTS; ++o) {
    if (o >= job->outs) break;
    float *to = job->to + o * job->out_plane;
    CE_UNROLL for (int v = 0; v < vectors - 1; ++v) ce_store(to + v * CE_LANES, ce_clip(sum[o][v], lowest, highest));
    ce_store_part(to + (vectors - 1) * CE_LANES, ce_clip(sum[o][vectors - 1], lowest, highest), job->tail);
  }
}

static void sum_1(const job_t *job) { sum_block(job, 1); }
static void sum_2(const job_t *job) { sum_block(job, 2); }
#if VECTORS == 4
static void sum_3(const job_t *job) { sum_block(job, 3); }
static void sum_4(const job_t *job) { sum_block(job, 4); }
#endif

static void sum_row(const plan_t *plan, const ce_planes *p, job_t job, float *y) {
  static void (*const sum[])(const job_t *) = {
      sum_1, sum_2,
#if VECTORS == 4
      sum_3, sum_4,
#endif
  };
  const float *from = job.from;
  for (int64_t out = 0; out < plan->g.out_channels; out += OUTS) {
    job.weights = plan->weights + out * job.taps;
    job.bias = plan->bias + out;
    job.outs = (int)ce_min(OUTS, plan->g.out_channels - out);
    for (int64_t at = 0; at < p->out_w; at += VECTORS * CE_LANES) {
      const int64_t count = ce_min(VECTORS * CE_LANES, p->out_w - at), vectors = ce_ceil_div(count, CE_LANES);
      job.from = from + at;
      job.to = y + out * job.out_plane + at;
      job.tail = (int)(count - (vectors - 1) * CE_LANES);
      sum[vectors - 1](&job);
    }
    for (int o = 0; o < job.outs; ++o)
      ce_activate_stored(y + (out + o) * job.out_plane, p->out_w, plan->activation);
  }
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_conv_geometry *g = &plan->g;
  const ce_shape in = run->shape;
  const ce_planes p = cut(g, in, run->threads);
  const ce_band band = ce_band_of(g, run);
  const int64_t a_image = ce_ceil_div(band.end - band.first, p.rows), units = in.n * a_image;
  const int64_t all = run->band ? 1 : tasks(plan, in, run->threads);
  int64_t *offset = (int64_t *)((char *)run->scratch + (size_t)task * task_scratch_bytes(g, &p));
  float *planes = (float *)((char *)offset + offset_bytes(g));
  ce_zero(planes, p.total * g->in_channels);
  for (int64_t c = 0, tap = 0; c < g->in_channels; ++c)
    for (int64_t kh = 0; kh < g->kernel_h; ++kh)
      for (int64_t kw = 0; kw < g->kernel_w; ++kw, ++tap) offset[tap] = c * p.total + ce_tap_offset(g, &p, kh, kw);
  for (int64_t unit = units * task / all; unit < units * (task + 1) / all; ++unit) {
    const int64_t n = unit / a_image, oh = band.first + unit % a_image * p.rows, rows = ce_min(p.rows, band.end - oh);
    for (int64_t c = 0; c < g->in_channels; ++c)
      ce_fill_planes(g, &p, planes + c * p.total, run->x + (n * g->in_channels + c) * band.x_plane, in, in.w, oh, rows);
    for (int64_t r = 0; r < rows; ++r) {
      const job_t job = {
          .from = planes + r * p.row,
          .tap_offset = offset,
          .taps = (int64_t)taps(g),
          .clip_min = plan->clip_min,
          .clip_max = plan->clip_max,
          .out_plane = band.y_plane,
      };
      sum_row(plan, &p, job, run->y + n * g->out_channels * band.y_plane + (oh + r) * p.out_w);
    }
  }
}

CE_DEFINE_KERNEL(dense_conv, CE_ISA)
