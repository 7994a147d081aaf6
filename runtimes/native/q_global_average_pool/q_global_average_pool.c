/* The mean of each plane: a dot product with ones adds four pixels of a channel. */
#include "common/q_pointwise.h"

typedef struct plan_t {
  ce_plan_head head;
  ce_q_grid x, y;
} plan_t;

/* The bound of the sum times its factor. */
static size_t plan_bytes(const void *desc_) {
  const ce_q_global_average_pool_desc *desc = desc_;
  return ce_q_is_small(256 * desc->x.scale / desc->y.scale) ? sizeof(plan_t) : 0;
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_global_average_pool_desc *desc = desc_;
  plan->x = desc->x, plan->y = desc->y;
}

static int64_t all_planes(ce_shape s) { return s.n * ce_q_groups(s.c); }

static int tasks(const void *plan, ce_shape shape, int threads) {
  return (void)plan, (int)ce_max(1, ce_min(threads, all_planes(shape)));
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_shape s = run->shape;
  const int64_t plane = ce_q_plane(s.h, s.w), one = ce_q_plane(1, 1), pixels = s.h * s.w, planes = all_planes(s);
  const int64_t whole = pixels / CE_LANES, all = tasks(plan, s, run->threads);
  const float factor = plan->x.scale / (plan->y.scale * (float)pixels);
  const vq ones = ce_q_splat(0x01010101);
  for (int64_t i = planes * task / all; i < planes * (task + 1) / all; ++i) {
    const uint8_t *x = (const uint8_t *)run->x + i * plane;
    va sum = ce_q_begin((vi)0);
    for (int64_t v = 0; v < whole; ++v) sum = ce_q_dot(sum, ce_q_turn(ce_q_load(x + v * CE_Q_VECTOR_BYTES)), ones);
    if (pixels % CE_LANES) {
      const ce_mask rest = ce_lanes(0, pixels % CE_LANES);
      sum = ce_q_dot(sum, ce_q_turn(ce_q_load_mask(x + whole * CE_Q_VECTOR_BYTES, rest, ce_q_splat(0))), ones);
    }
    const vi total = ce_q_end(sum);
    for (int c = 0; c < 4; ++c) {
      int32_t of_channel = (int32_t)-(pixels * (plan->x.zero - CE_Q_FLIP));
      CE_UNROLL for (int lane = 0; lane < CE_LANES; lane += 4) of_channel += total[lane + c];
      ((uint8_t *)run->y)[i * one + c] = ce_q_requantize(of_channel, factor, plan->y.zero) ^ CE_Q_FLIP;
    }
  }
}

CE_DEFINE_KERNEL(q_global_average_pool, CE_ISA)
