/* The obvious loop: what every other kernel gives the bytes of. */
#include "common/quantized.h"

typedef struct plan_t {
  ce_plan_head head;
  float factor;
  int32_t a_zero, b_zero, y_zero;
} plan_t;

static size_t plan_bytes(const void *desc) { return (void)desc, sizeof(plan_t); }

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_mul_desc *desc = desc_;
  plan->factor = ce_q_factor(desc->a.scale, desc->b.scale, desc->y.scale);
  plan->a_zero = desc->a.zero, plan->b_zero = desc->b.zero, plan->y_zero = desc->y.zero;
}

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return (void)plan, (void)shape, (void)threads, 0;
}

static int tasks(const void *plan, ce_shape shape, int threads) { return (void)plan, (void)shape, (void)threads, 1; }

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_shape s = run->shape;
  (void)task;
  const int64_t plane = ce_q_plane(s.h, s.w), one = ce_q_plane(1, 1);
  for (int64_t i = 0; i < ce_q_bytes(s.n, s.c, s.h, s.w); ++i) {
    const int32_t a = (((const uint8_t *)run->x)[i] ^ CE_Q_FLIP) - plan->a_zero;
    const int32_t b = (((const uint8_t *)run->residual)[i / plane * one + i % CE_Q_GROUP] ^ CE_Q_FLIP) - plan->b_zero;
    ((uint8_t *)run->y)[i] = ce_q_mul1(a, b, plan->factor, plan->y_zero) ^ CE_Q_FLIP;
  }
}

CE_DEFINE_KERNEL(q_mul, reference)
