/* The obvious loop: what every other kernel gives the bytes of. */
#include "common/quantized.h"

typedef struct plan_t {
  ce_plan_head head;
  ce_q_grid x, y;
} plan_t;

static size_t plan_bytes(const void *desc) { return (void)desc, sizeof(plan_t); }

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_global_average_pool_desc *desc = desc_;
  plan->x = desc->x, plan->y = desc->y;
}

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return (void)plan, (void)shape, (void)threads, 0;
}

static int tasks(const void *plan, ce_shape shape, int threads) { return (void)plan, (void)shape, (void)threads, 1; }

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_shape s = run->shape;
  (void)task;
  const int64_t plane = ce_q_plane(s.h, s.w), one = ce_q_plane(1, 1), pixels = s.h * s.w;
  const float factor = plan->x.scale / (plan->y.scale * (float)pixels);
  for (int64_t group = 0; group < s.n * ce_q_groups(s.c); ++group)
    for (int64_t lane = 0; lane < CE_Q_GROUP; ++lane) {
      const uint8_t *x = (const uint8_t *)run->x + group * plane + lane;
      int32_t sum = 0;
      for (int64_t i = 0; i < pixels; ++i) sum += (x[i * CE_Q_GROUP] ^ CE_Q_FLIP) - plan->x.zero;
      ((uint8_t *)run->y)[group * one + lane] = ce_q_requantize(sum, factor, plan->y.zero) ^ CE_Q_FLIP;
    }
}

CE_DEFINE_KERNEL(q_global_average_pool, reference)
