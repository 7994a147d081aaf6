/* Mean of each plane: CE_LANES planes at a time, whose vectors of partial sums are then added up as a transposed matrix is. */
#include "common/planes.h"

#define SUMS 4
#define LEAST_FLOATS (16 * 1024) /* of a task: to wake a thread takes as long as these */

typedef struct plan_t {
  ce_plan_head head;
} plan_t;

static size_t plan_bytes(const void *desc) { return (void)desc, sizeof(plan_t); }
static void plan_init(void *plan, const void *desc) { (void)plan, (void)desc; }

static int64_t group_count(ce_shape shape) { return ce_ceil_div(shape.n, CE_LANES); }

static int tasks(const void *plan, ce_shape shape, int threads) {
  (void)plan;
  const int64_t most = ce_ceil_div(shape.n * shape.h * shape.w, LEAST_FLOATS);
  return (int)ce_max(1, ce_min(threads, ce_min(most, group_count(shape))));
}

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return (void)plan, (void)shape, (void)threads, 0;
}

CE_INLINE vf sum_plane(const float *from, int64_t pixels) {
  vf sum[SUMS];
  CE_UNROLL for (int i = 0; i < SUMS; ++i) sum[i] = ce_splat(0);
  int64_t at = 0;
  for (; at + SUMS * CE_LANES <= pixels; at += SUMS * CE_LANES)
    CE_UNROLL for (int i = 0; i < SUMS; ++i) sum[i] += ce_load(from + at + i * CE_LANES);
  for (; at + CE_LANES <= pixels; at += CE_LANES) sum[0] += ce_load(from + at);
  if (at < pixels) sum[1] += ce_load_part(from + at, (int)(pixels - at));
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Lane i of the result is the sum of the lanes of row[i]: neighbours are added, and two rows become one, until one is left. */
CE_INLINE vf sum_rows(vf *row) {
  CE_UNROLL for (int rows = CE_LANES; rows > 1; rows /= 2)
    CE_UNROLL for (int i = 0; i < rows / 2; ++i)
      row[i] = __builtin_shufflevector(row[2 * i], row[2 * i + 1], CE_EVEN) +
               __builtin_shufflevector(row[2 * i], row[2 * i + 1], CE_ODD);
  return row[0];
}

static void run_task(const void *plan, const ce_run *run, int task) {
  const int64_t pixels = run->shape.h * run->shape.w, all = tasks(plan, run->shape, run->threads);
  const int64_t groups = group_count(run->shape), end = groups * (task + 1) / all;
  for (int64_t group = groups * task / all; group < end; ++group) {
    const int64_t first = group * CE_LANES, count = ce_min(CE_LANES, run->shape.n - first);
    vf sum[CE_LANES];
    for (int64_t i = 0; i < CE_LANES; ++i)
      sum[i] = i < count ? sum_plane(run->x + (first + i) * pixels, pixels) : ce_splat(0);
    ce_store_part(run->y + first, sum_rows(sum) / ce_splat((float)pixels), (int)count);
  }
}

CE_DEFINE_KERNEL(global_average_pool, CE_ISA)
