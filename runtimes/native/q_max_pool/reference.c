/* The obvious loop: what every other kernel gives the bytes of. */
#include "common/geometry.h"
#include "common/quantized.h"

typedef struct plan_t {
  ce_plan_head head;
  ce_conv_geometry geometry;
} plan_t;

static size_t plan_bytes(const void *desc) { return (void)desc, sizeof(plan_t); }

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_max_pool_desc *desc = desc_;
  plan->geometry = desc->geometry;
}

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return (void)plan, (void)shape, (void)threads, 0;
}

static int tasks(const void *plan, ce_shape shape, int threads) { return (void)plan, (void)shape, (void)threads, 1; }

static uint8_t largest(const ce_conv_geometry *g, ce_shape in, const uint8_t *x, int64_t oh, int64_t ow) {
  uint8_t most = 0;
  for (int64_t i = 0; i < g->kernel_h; ++i)
    for (int64_t j = 0; j < g->kernel_w; ++j) {
      const int64_t h = oh * g->stride_h - g->pad_top + i, w = ow * g->stride_w - g->pad_left + j;
      if (h < 0 || h >= in.h || w < 0 || w >= in.w) continue;
      const uint8_t q = x[(h * in.w + w) * CE_Q_GROUP] ^ CE_Q_FLIP;
      if (most < q) most = q;
    }
  return most;
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_shape s = run->shape;
  (void)task;
  const int64_t out_h = ce_out_h(&plan->geometry, s), out_w = ce_out_w(&plan->geometry, s);
  for (int64_t group = 0; group < s.n * ce_q_groups(s.c); ++group)
    for (int64_t i = 0; i < out_h * out_w * CE_Q_GROUP; ++i) {
      const uint8_t *x = (const uint8_t *)run->x + group * ce_q_plane(s.h, s.w) + i % CE_Q_GROUP;
      const int64_t pixel = i / CE_Q_GROUP;
      ((uint8_t *)run->y)[group * ce_q_plane(out_h, out_w) + i] =
          largest(&plan->geometry, s, x, pixel / out_w, pixel % out_w) ^ CE_Q_FLIP;
    }
}

CE_DEFINE_KERNEL(q_max_pool, reference)
