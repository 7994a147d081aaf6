/* The obvious loop: what every other kernel gives the bytes of. */
#include "common/quantized.h"

typedef struct plan_t {
  ce_plan_head head;
  ce_q_grid grid;
} plan_t;

static size_t plan_bytes(const void *desc) { return (void)desc, sizeof(plan_t); }

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_dequantize_desc *desc = desc_;
  plan->grid = desc->grid;
}

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return (void)plan, (void)shape, (void)threads, 0;
}

static int tasks(const void *plan, ce_shape shape, int threads) { return (void)plan, (void)shape, (void)threads, 1; }

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_shape s = run->shape;
  (void)task;
  const int64_t pixels = s.h * s.w, groups = ce_q_groups(s.c), plane = ce_q_plane(s.h, s.w);
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t channel = 0; channel < s.c; ++channel)
      for (int64_t i = 0; i < pixels; ++i) {
        const int32_t q = ((const uint8_t *)run->x)[ce_q_at(groups, plane, n, channel, i)] ^ CE_Q_FLIP;
        run->y[(n * s.c + channel) * pixels + i] = (float)(q - plan->grid.zero) * plan->grid.scale;
      }
}

CE_DEFINE_KERNEL(q_dequantize, reference)
