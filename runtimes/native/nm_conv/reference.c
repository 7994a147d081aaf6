/* The obvious loops: sums in double, slot by slot, channels read bit by bit. */
#include "common/activate1.h"
#include "common/geometry.h"
#include "common/nm.h"
#include "common/values.h"

typedef struct plan_t {
  ce_plan_head head;
  ce_nm_conv_desc desc;
} plan_t;

static int64_t slots_of_row(const ce_nm_conv_desc *desc) {
  const ce_conv_geometry *g = &desc->geometry;
  return ce_nm_groups(g->in_channels, desc->weight.m) * g->kernel_h * g->kernel_w * desc->weight.n;
}

static size_t index_bytes(const ce_nm_conv_desc *desc) {
  return (size_t)ce_ceil_div(desc->geometry.out_channels * slots_of_row(desc) * ce_nm_bits(desc->weight.m), 8);
}

static size_t plan_bytes(const void *desc_) {
  const ce_nm_conv_desc *desc = desc_;
  const size_t outs = (size_t)desc->geometry.out_channels;
  return sizeof(plan_t) + 4 * (outs * (size_t)slots_of_row(desc) + outs) + index_bytes(desc);
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  plan->desc = *(const ce_nm_conv_desc *)desc_;
  ce_nm_weight *w = &plan->desc.weight;
  const size_t outs = (size_t)plan->desc.geometry.out_channels, slots = outs * (size_t)slots_of_row(&plan->desc);
  float *values = (float *)(plan + 1), *bias = values + slots;
  uint8_t *index = (uint8_t *)(bias + outs);
  for (size_t i = 0; i < slots; ++i) values[i] = ce_value(w->values, plan->desc.dtypes, (int64_t)i);
  for (size_t i = 0; i < outs; ++i) bias[i] = plan->desc.bias[i];
  for (size_t i = 0; i < index_bytes(&plan->desc); ++i) index[i] = w->index[i];
  w->values = values, w->index = index, plan->desc.bias = bias;
}

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  (void)plan, (void)shape, (void)threads;
  return 0;
}

/* One task an output channel, of all images. */
static int tasks(const void *plan, ce_shape shape, int threads) {
  (void)shape, (void)threads;
  return ((const plan_t *)plan)->desc.geometry.out_channels;
}

static int64_t channel_of(const ce_nm_weight *w, int64_t slot) {
  const int bits = ce_nm_bits(w->m);
  int64_t channel = 0;
  for (int64_t b = 0; b < bits; ++b) {
    const int64_t bit = slot * bits + b;
    channel += (int64_t)(w->index[bit / 8] >> bit % 8 & 1) << b;
  }
  return channel;
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const ce_nm_conv_desc *desc = &((const plan_t *)plan_)->desc;
  const ce_nm_weight *w = &desc->weight;
  const ce_conv_geometry *g = &desc->geometry;
  const ce_shape in = run->shape;
  const int64_t out_h = ce_out_h(g, in), out_w = ce_out_w(g, in), taps = (int64_t)g->kernel_h * g->kernel_w;
  const int64_t slots = slots_of_row(desc);
  const float *values = w->values;
  for (int64_t n = 0; n < in.n; ++n)
    for (int64_t oh = 0; oh < out_h; ++oh)
      for (int64_t ow = 0; ow < out_w; ++ow) {
        double sum = desc->bias[task];
        for (int64_t i = task * slots; i < (task + 1) * slots; ++i) {
          if (values[i] == 0) continue;
          const int64_t tap = i / w->n % taps, group = i / w->n / taps % ce_nm_groups(g->in_channels, w->m);
          const int64_t c = group * w->m + channel_of(w, i);
          const int64_t ih = oh * g->stride_h - g->pad_top + tap / g->kernel_w * g->dilation_h;
          const int64_t iw = ow * g->stride_w - g->pad_left + tap % g->kernel_w * g->dilation_w;
          if (ih < 0 || ih >= in.h || iw < 0 || iw >= in.w) continue;
          sum += (double)values[i] * run->x[((n * g->in_channels + c) * in.h + ih) * in.w + iw];
        }
        const int64_t at = ((n * g->out_channels + task) * out_h + oh) * out_w + ow;
        if (run->residual) sum += run->residual[at];
        run->y[at] = ce_activate1(sum, desc->activation, desc->clip_min, desc->clip_max);
      }
}

CE_DEFINE_KERNEL(nm_conv, reference)
