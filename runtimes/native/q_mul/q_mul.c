/* A tensor by a factor a channel. */
#include "common/q_pointwise.h"

typedef struct plan_t {
  ce_plan_head head;
  float factor;
  int32_t a_zero, b_zero, y_zero;
} plan_t;

static float factor_of(const ce_q_mul_desc *desc) { return ce_q_factor(desc->a.scale, desc->b.scale, desc->y.scale); }

static size_t plan_bytes(const void *desc) { return ce_q_is_small(255 * 255 * factor_of(desc)) ? sizeof(plan_t) : 0; }

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_mul_desc *desc = desc_;
  plan->factor = factor_of(desc);
  plan->a_zero = desc->a.zero, plan->b_zero = desc->b.zero, plan->y_zero = desc->y.zero;
}

static int64_t all_planes(ce_shape s) { return s.n * ce_q_groups(s.c); }

static int tasks(const void *plan, ce_shape shape, int threads) {
  return (void)plan, (int)ce_max(1, ce_min(threads, all_planes(shape)));
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  CE_Q_EACH_ROUNDED
  const plan_t *plan = plan_;
  const int64_t plane = ce_q_plane(run->shape.h, run->shape.w), one = ce_q_plane(1, 1), all = tasks(plan, run->shape, run->threads);
  const int64_t planes = all_planes(run->shape);
  const vf factor = ce_splat(plan->factor);
  const vf y_zero = ce_splat((float)plan->y_zero);
  const vh zero = (vh)(int16_t)-CE_Q_FLIP;
  for (int64_t i = planes * task / all; i < planes * (task + 1) / all; ++i) {
    const uint8_t *x = (const uint8_t *)run->x + i * plane, *b = (const uint8_t *)run->residual + i * one;
    uint8_t *y = (uint8_t *)run->y + i * plane;
    vi by[4];
    CE_UNROLL for (int c = 0; c < 4; ++c) by[c] = (vi)((b[c] ^ CE_Q_FLIP) - plan->b_zero);
    for (int64_t at = 0; at < plane; at += CE_Q_VECTOR_BYTES) {
      const vq q = ce_q_load(x + at);
      vi product[4];
      CE_UNROLL for (int c = 0; c < 4; ++c) {
        const vf scaled = ce_q_float((ce_q_channel_bytes(q, c) - (vi)plan->a_zero) * by[c]) * factor;
        product[c] = ce_q_round_vector(scaled + y_zero);
      }
      ce_q_store(y + at, ce_q_turn(ce_q_pack4(ce_q_pack2(product[0], product[1], zero), ce_q_pack2(product[2], product[3], zero))));
    }
  }
}

CE_DEFINE_KERNEL(q_mul, CE_ISA)
