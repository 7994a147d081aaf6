/* The obvious loops: what every other kernel is held against. Sums in double, taps in the order of the weights. */
#include "common/activate1.h"
#include "common/geometry.h"
#include "common/kernel.h"

typedef struct plan_t {
  ce_plan_head head;
  ce_dense_conv_desc desc;
} plan_t;

static size_t weight_count(const ce_conv_geometry *g) {
  return (size_t)g->out_channels * g->in_channels * g->kernel_h * g->kernel_w;
}

static size_t plan_bytes(const void *desc_) {
  const ce_dense_conv_desc *desc = desc_;
  return sizeof(plan_t) + 4 * (weight_count(&desc->geometry) + desc->geometry.out_channels);
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_dense_conv_desc *desc = desc_;
  const size_t count = weight_count(&desc->geometry);
  float *weights = (float *)(plan + 1), *bias = weights + count;
  for (size_t i = 0; i < count; ++i) weights[i] = desc->weights[i];
  for (int32_t i = 0; i < desc->geometry.out_channels; ++i) bias[i] = desc->bias[i];
  plan->desc = *desc;
  plan->desc.weights = weights;
  plan->desc.bias = bias;
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

static double window_sum(const ce_conv_geometry *g, ce_shape in, const float *plane, const float *weights, int64_t oh, int64_t ow) {
  double sum = 0;
  for (int32_t kh = 0; kh < g->kernel_h; ++kh)
    for (int32_t kw = 0; kw < g->kernel_w; ++kw) {
      const int64_t ih = oh * g->stride_h - g->pad_top + (int64_t)kh * g->dilation_h;
      const int64_t iw = ow * g->stride_w - g->pad_left + (int64_t)kw * g->dilation_w;
      if (ih < 0 || ih >= in.h || iw < 0 || iw >= in.w) continue;
      sum += (double)weights[kh * g->kernel_w + kw] * plane[ih * in.w + iw];
    }
  return sum;
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const ce_dense_conv_desc *desc = &((const plan_t *)plan_)->desc;
  const ce_conv_geometry *g = &desc->geometry;
  const ce_shape in = run->shape;
  const ce_band band = ce_band_of(g, run);
  const int64_t out_w = ce_out_w(g, in), taps = (int64_t)g->kernel_h * g->kernel_w;
  for (int64_t n = 0; n < in.n; ++n)
    for (int64_t oh = band.first; oh < band.end; ++oh)
      for (int64_t ow = 0; ow < out_w; ++ow) {
        double sum = desc->bias[task];
        for (int64_t c = 0; c < g->in_channels; ++c)
          sum += window_sum(g, in, run->x + (n * g->in_channels + c) * band.x_plane,
                            desc->weights + (task * g->in_channels + c) * taps, oh, ow);
        run->y[(n * g->out_channels + task) * band.y_plane + oh * out_w + ow] =
            ce_activate1(sum, desc->activation, desc->clip_min, desc->clip_max);
      }
}

CE_DEFINE_KERNEL(dense_conv, reference)
