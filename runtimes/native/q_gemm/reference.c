/* The obvious loops: what every other kernel gives the bytes of. */
#include "common/q_weights.h"

typedef struct plan_t {
  ce_plan_head head;
  ce_q_weights weights;
  int32_t x_zero, y_zero, to_float;
} plan_t;

static ce_q_weights weights_of(const ce_q_gemm_desc *desc) {
  return (ce_q_weights){desc->out_features, desc->in_features, desc->block_rows, desc->values,
                        desc->col_idx, desc->row_ptr, desc->bias, desc->w_scale};
}

static size_t plan_bytes(const void *desc) {
  const ce_q_weights weights = weights_of(desc);
  return sizeof(plan_t) + ce_q_weights_bytes(&weights);
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_gemm_desc *desc = desc_;
  const ce_q_weights weights = weights_of(desc);
  plan->weights = ce_q_keep_weights(&weights, desc->x.scale, desc->to_float ? 1 : desc->y.scale, plan + 1);
  plan->x_zero = desc->x.zero, plan->y_zero = desc->y.zero, plan->to_float = desc->to_float;
}

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return (void)plan, (void)shape, (void)threads, 0;
}

static int tasks(const void *plan, ce_shape shape, int threads) { return (void)plan, (void)shape, (void)threads, 1; }

static int32_t input(const plan_t *plan, const uint8_t *x, int64_t channel) {
  return (x[ce_q_at(0, ce_q_plane(1, 1), 0, channel, 0)] ^ CE_Q_FLIP) - plan->x_zero;
}

static int32_t row_sum(const plan_t *plan, const uint8_t *x, int64_t row) {
  const ce_q_weights *w = &plan->weights;
  int32_t sum = w->bias[row];
  for (int64_t k = 0; !w->block_rows && k < w->columns; ++k) sum += w->values[row * w->columns + k] * input(plan, x, k);
  if (!w->block_rows) return sum;
  for (int64_t b = w->row_ptr[row / w->block_rows]; b < w->row_ptr[row / w->block_rows + 1]; ++b)
    for (int64_t lane = 0; lane < CE_Q_GROUP; ++lane) {
      const int64_t channel = (int64_t)w->col_idx[b] * CE_Q_GROUP + lane;
      const int32_t value = w->values[(b * w->block_rows + row % w->block_rows) * CE_Q_GROUP + lane];
      if (channel < w->columns) sum += value * input(plan, x, channel);
    }
  return sum;
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_q_weights *w = &plan->weights;
  (void)task;
  for (int64_t n = 0; n < run->shape.n; ++n)
    for (int64_t row = 0; row < w->rows; ++row) {
      const int32_t sum = row_sum(plan, (const uint8_t *)run->x + n * ce_q_bytes(1, w->columns, 1, 1), row);
      if (plan->to_float) run->y[n * w->rows + row] = (float)sum * w->factor[row];
      else ((uint8_t *)run->y)[ce_q_at(ce_q_groups(w->rows), ce_q_plane(1, 1), n, row, 0)] =
               ce_q_requantize(sum, w->factor[row], plan->y_zero) ^ CE_Q_FLIP;
    }
}

CE_DEFINE_KERNEL(q_gemm, reference)
