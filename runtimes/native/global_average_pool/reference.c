/* The obvious loop: what every other kernel is held against. Sums in double. */
#include "common/kernel.h"

static size_t plan_bytes(const void *desc) { return (void)desc, sizeof(ce_plan_head); }
static void plan_init(void *plan, const void *desc) { (void)plan, (void)desc; }

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return (void)plan, (void)shape, (void)threads, 0;
}

static int tasks(const void *plan, ce_shape shape, int threads) { return (void)plan, (void)shape, (void)threads, 1; }

static void run_task(const void *plan, const ce_run *run, int task) {
  (void)plan, (void)task;
  const int64_t pixels = run->shape.h * run->shape.w;
  for (int64_t n = 0; n < run->shape.n; ++n) {
    double sum = 0;
    for (int64_t i = 0; i < pixels; ++i) sum += run->x[n * pixels + i];
    run->y[n] = (float)(sum / (double)pixels);
  }
}

CE_DEFINE_KERNEL(global_average_pool, reference)
