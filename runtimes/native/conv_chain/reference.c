/* The stages one after another, each for whole images. */
#include "conv_chain/plan.h"

static ce_shape one_image(ce_shape shape) { return (ce_shape){.n = 1, .h = shape.h, .w = shape.w}; }

/* Bytes of the largest output between two stages, and of the largest scratch of a stage. */
static void measure(const plan_t *plan, ce_shape in, size_t *between, size_t *scratch) {
  *between = *scratch = 0;
  for (int32_t i = 0; i < plan->count; ++i) {
    const size_t needed = ce_round_up(stage_scratch_bytes(&plan->stages[i], in), 64);
    *scratch = needed > *scratch ? needed : *scratch;
    in = next_shape(&plan->stages[i], in);
    const size_t bytes = ce_round_up((size_t)(plan->stages[i].g.out_channels * in.h * in.w) * 4, 64);
    *between = bytes > *between ? bytes : *between;
  }
}

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  size_t between, scratch;
  (void)threads;
  measure(plan, one_image(shape), &between, &scratch);
  return 2 * between + scratch;
}

static int tasks(const void *plan, ce_shape shape, int threads) {
  (void)plan, (void)shape, (void)threads;
  return 1;
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const int32_t last = plan->count - 1;
  size_t between, scratch;
  (void)task;
  measure(plan, one_image(run->shape), &between, &scratch);
  float *buffer[2] = {run->scratch, (float *)((char *)run->scratch + between)};
  void *rest = (char *)run->scratch + 2 * between;
  ce_shape out = one_image(run->shape);
  for (int32_t i = 0; i <= last; ++i) out = next_shape(&plan->stages[i], out);
  const int64_t x_step = plan->stages[0].g.in_channels * run->shape.h * run->shape.w;
  const int64_t y_step = plan->stages[last].g.out_channels * out.h * out.w;
  for (int64_t n = 0; n < run->shape.n; ++n) {
    ce_run stage = {.shape = one_image(run->shape), .x = run->x + n * x_step, .scratch = rest, .threads = 1};
    for (int32_t i = 0; i <= last; ++i) {
      stage.y = i == last ? run->y + n * y_step : buffer[i % 2];
      stage.residual = i == last && run->residual ? run->residual + n * y_step : 0;
      run_stage(&plan->stages[i], &stage);
      stage.shape = next_shape(&plan->stages[i], stage.shape);
      stage.x = stage.y;
    }
  }
}

CE_DEFINE_KERNEL(conv_chain, reference)
