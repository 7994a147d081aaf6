/* The obvious loops: what every other kernel gives the bytes of. */
#include "common/geometry.h"
#include "common/q_weights.h"

typedef struct plan_t {
  ce_plan_head head;
  ce_conv_geometry geometry;
  ce_q_weights weights;
  int32_t x_zero;
  ce_q_finish finish;
  uint8_t table[256];
} plan_t;

static ce_q_weights weights_of(const ce_q_conv_desc *desc) {
  const ce_conv_geometry *g = &desc->geometry;
  return (ce_q_weights){g->out_channels, g->in_channels * g->kernel_h * g->kernel_w, desc->block_rows, desc->values,
                        desc->col_idx, desc->row_ptr, desc->bias, desc->w_scale};
}

static size_t plan_bytes(const void *desc) {
  const ce_q_weights weights = weights_of(desc);
  return sizeof(plan_t) + ce_q_weights_bytes(&weights);
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_conv_desc *desc = desc_;
  const ce_q_weights weights = weights_of(desc);
  plan->geometry = desc->geometry;
  plan->weights = ce_q_keep_weights(&weights, desc->x.scale, desc->y.scale, plan + 1);
  plan->x_zero = desc->x.zero;
  plan->finish = ce_q_finish_of(desc);
  for (int i = 0; i < 256 && desc->table; ++i) plan->table[i] = desc->table[i];
  if (desc->table) plan->finish.table = plan->table;
}

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return (void)plan, (void)shape, (void)threads, 0;
}

/* Groups of output channels, of all images. */
static int tasks(const void *plan, ce_shape shape, int threads) {
  return (void)shape, (int)ce_min(threads, ce_q_groups(((const plan_t *)plan)->geometry.out_channels));
}

typedef struct window {
  const plan_t *plan;
  ce_shape in;
  const uint8_t *image;
  int64_t top, left; /* where the window begins */
} window;

/* x - x.zero at a tap; 0 outside of the image. */
static int32_t input(const window *at, int64_t channel, int64_t i, int64_t j) {
  const ce_conv_geometry *g = &at->plan->geometry;
  const int64_t h = at->top + i * g->dilation_h, w = at->left + j * g->dilation_w;
  if (h < 0 || h >= at->in.h || w < 0 || w >= at->in.w) return 0;
  const int64_t place = ce_q_at(0, ce_q_plane(at->in.h, at->in.w), 0, channel, h * at->in.w + w);
  return (at->image[place] ^ CE_Q_FLIP) - at->plan->x_zero;
}

static int32_t dense_sum(const window *at, int64_t row) {
  const ce_conv_geometry *g = &at->plan->geometry;
  const int8_t *value = at->plan->weights.values + row * at->plan->weights.columns;
  int32_t sum = at->plan->weights.bias[row];
  for (int64_t channel = 0; channel < g->in_channels; ++channel)
    for (int64_t i = 0; i < g->kernel_h; ++i)
      for (int64_t j = 0; j < g->kernel_w; ++j) sum += *value++ * input(at, channel, i, j);
  return sum;
}

static int32_t block_sum(const window *at, int64_t row) {
  const ce_conv_geometry *g = &at->plan->geometry;
  const ce_q_weights *weights = &at->plan->weights;
  const int64_t taps = (int64_t)g->kernel_h * g->kernel_w, block_row = row / weights->block_rows;
  int32_t sum = weights->bias[row];
  for (int64_t b = weights->row_ptr[block_row]; b < weights->row_ptr[block_row + 1]; ++b) {
    const int64_t column = weights->col_idx[b], first = column / taps * CE_Q_GROUP, tap = column % taps;
    const int8_t *value = weights->values + (b * weights->block_rows + row % weights->block_rows) * CE_Q_GROUP;
    for (int64_t lane = 0; lane < CE_Q_GROUP && first + lane < g->in_channels; ++lane)
      sum += value[lane] * input(at, first + lane, tap / g->kernel_w, tap % g->kernel_w);
  }
  return sum;
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_conv_geometry *g = &plan->geometry;
  const ce_shape in = run->shape;
  const int64_t out_h = ce_out_h(g, in), out_w = ce_out_w(g, in), plane = ce_q_plane(out_h, out_w);
  const int64_t groups = ce_q_groups(g->out_channels), all = tasks(plan, in, run->threads);
  const int64_t end = ce_min(g->out_channels, groups * (task + 1) / all * CE_Q_GROUP);
  for (int64_t n = 0; n < in.n; ++n)
    for (int64_t row = groups * task / all * CE_Q_GROUP; row < end; ++row)
      for (int64_t pixel = 0; pixel < out_h * out_w; ++pixel) {
        const window at = {plan, in, (const uint8_t *)run->x + n * ce_q_bytes(1, g->in_channels, in.h, in.w),
                           pixel / out_w * g->stride_h - g->pad_top, pixel % out_w * g->stride_w - g->pad_left};
        const int32_t sum = plan->weights.block_rows ? block_sum(&at, row) : dense_sum(&at, row);
        const int64_t place = ce_q_at(groups, plane, n, row, pixel);
        ((uint8_t *)run->y)[place] =
            ce_q_finish1(&plan->finish, sum, plan->weights.factor[row], run->residual, place);
      }
}

CE_DEFINE_KERNEL(q_conv, reference)
