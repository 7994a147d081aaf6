/* Sparse matrix product: Y [N, M] = clip(X [N, K] W^T + bias), one row of X after the other or many at a time.
 *
 * nm_gemm.c compiles this source with CE_NM.
 */
#define CE_POINTS
#define LEAST_WORK (16 * 1024) /* multiply-adds of a task: to wake a thread takes as long as these */

#include "csr_gemm/lanes.h"
#include "csr_gemm/rows.h"

#define FEWEST_ROWS 4 /* of X, from which on a transposed panel pays */

typedef struct gemm_plan {
  ce_plan_head head;
  int64_t nnz; /* where many rows are taken at a time; else -1 */
} gemm_plan;

#define INNER_AT 64

static const plan_t *as_rows(const gemm_plan *plan) { return (const plan_t *)((const char *)plan + INNER_AT); }
static const gemm_lanes *as_lanes(const gemm_plan *plan) { return (const gemm_lanes *)((const char *)plan + INNER_AT); }

static size_t plan_bytes(const void *desc_) {
  const desc_t *desc = desc_;
  const size_t inner = desc->rows >= FEWEST_ROWS ? rows_bytes(desc) : lanes_bytes(desc);
  return inner ? INNER_AT + inner : 0;
}

static void plan_init(void *plan_, const void *desc_) {
  gemm_plan *plan = plan_;
  const desc_t *desc = desc_;
  void *inner = (char *)plan_ + INNER_AT;
  plan->nnz = -1;
  if (desc->rows < FEWEST_ROWS) {
    lanes_init(inner, desc);
    return;
  }
  plan->nnz = 0;
  for (int32_t i = 0; i < desc->out_features; ++i) plan->nnz += count_row(desc, i);
  rows_init(inner, desc);
}

static int tasks(const void *plan_, ce_shape shape, int threads) {
  const gemm_plan *plan = plan_;
  return plan->nnz < 0 ? lanes_tasks(as_lanes(plan), shape.n, threads) : rows_tasks(as_rows(plan), plan->nnz, shape.n, threads);
}

static size_t scratch_bytes(const void *plan_, ce_shape shape, int threads) {
  const gemm_plan *plan = plan_;
  const size_t each = plan->nnz < 0 ? lanes_scratch(as_lanes(plan)) : (size_t)cut_rows(as_rows(plan), shape.n, threads).all * 4;
  return each * (size_t)tasks(plan_, shape, threads);
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const gemm_plan *plan = plan_;
  if (plan->nnz < 0) run_lanes(as_lanes(plan), run, task);
  else run_rows_of_x(as_rows(plan), plan->nnz, run, task);
}

#if defined(CE_NM)
CE_DEFINE_KERNEL(nm_gemm, CE_ISA)
#else
CE_DEFINE_KERNEL(csr_gemm, CE_ISA)
#endif
