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

static ce_q_weights weights_of(const ce_q_depthwise_conv_desc *desc) {
  const ce_conv_geometry *g = &desc->geometry;
  return (ce_q_weights){
      .rows = g->out_channels, .columns = g->kernel_h * g->kernel_w, .values = desc->values, .bias = desc->bias,
      .factor = desc->w_scale};
}

static size_t plan_bytes(const void *desc) {
  const ce_q_weights weights = weights_of(desc);
  return sizeof(plan_t) + ce_q_weights_bytes(&weights);
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_depthwise_conv_desc *desc = desc_;
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

/* Groups of channels, of all images. */
static int tasks(const void *plan, ce_shape shape, int threads) {
  return (void)shape, (int)ce_min(threads, ce_q_groups(((const plan_t *)plan)->geometry.out_channels));
}

static int32_t window_sum(const plan_t *plan, ce_shape in, const uint8_t *x, int64_t channel, int64_t oh, int64_t ow) {
  const ce_conv_geometry *g = &plan->geometry;
  int32_t sum = plan->weights.bias[channel];
  for (int64_t i = 0; i < g->kernel_h; ++i)
    for (int64_t j = 0; j < g->kernel_w; ++j) {
      const int64_t h = oh * g->stride_h - g->pad_top + i * g->dilation_h;
      const int64_t w = ow * g->stride_w - g->pad_left + j * g->dilation_w;
      if (h < 0 || h >= in.h || w < 0 || w >= in.w) continue;
      const int32_t weight = plan->weights.values[(channel * g->kernel_h + i) * g->kernel_w + j];
      sum += weight * ((x[(h * in.w + w) * CE_Q_GROUP] ^ CE_Q_FLIP) - plan->x_zero);
    }
  return sum;
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_conv_geometry *g = &plan->geometry;
  const ce_shape in = run->shape;
  const int64_t out_h = ce_out_h(g, in), out_w = ce_out_w(g, in), groups = ce_q_groups(g->out_channels);
  const int64_t all = tasks(plan, in, run->threads);
  const int64_t end = ce_min(g->out_channels, groups * (task + 1) / all * CE_Q_GROUP);
  for (int64_t n = 0; n < in.n; ++n)
    for (int64_t channel = groups * task / all * CE_Q_GROUP; channel < end; ++channel) {
      const uint8_t *x = (const uint8_t *)run->x + ce_q_at(groups, ce_q_plane(in.h, in.w), n, channel, 0);
      for (int64_t pixel = 0; pixel < out_h * out_w; ++pixel) {
        const int64_t place = ce_q_at(groups, ce_q_plane(out_h, out_w), n, channel, pixel);
        ((uint8_t *)run->y)[place] =
            ce_q_finish1(&plan->finish, window_sum(plan, in, x, channel, pixel / out_w, pixel % out_w),
                         plan->weights.factor[channel], run->residual, place);
      }
    }
}

CE_DEFINE_KERNEL(q_depthwise_conv, reference)
