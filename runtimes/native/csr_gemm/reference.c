/* The obvious loops: what every other kernel is held against. Sums in double. */
#include "common/activate1.h"
#include "common/kernel.h"
#include "common/values.h"

typedef struct plan_t {
  ce_plan_head head;
  ce_csr_gemm_desc desc;
} plan_t;

static size_t plan_bytes(const void *desc_) {
  const ce_csr_gemm_desc *desc = desc_;
  const size_t rows = (size_t)desc->out_features, nnz = (size_t)desc->row_ptr[rows];
  return sizeof(plan_t) + 4 * (nnz + nnz + rows + 1 + rows);
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_csr_gemm_desc *desc = desc_;
  const size_t rows = (size_t)desc->out_features, nnz = (size_t)desc->row_ptr[rows];
  float *values = (float *)(plan + 1), *bias = values + nnz;
  int32_t *col_idx = (int32_t *)(bias + rows), *row_ptr = col_idx + nnz;
  for (size_t i = 0; i < nnz; ++i) values[i] = ce_value(desc->values, desc->dtypes, (int64_t)i), col_idx[i] = desc->col_idx[i];
  for (size_t i = 0; i < rows; ++i) bias[i] = desc->bias[i];
  for (size_t i = 0; i <= rows; ++i) row_ptr[i] = desc->row_ptr[i];
  plan->desc = *desc;
  plan->desc.values = values;
  plan->desc.bias = bias;
  plan->desc.col_idx = col_idx;
  plan->desc.row_ptr = row_ptr;
}

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  (void)plan, (void)shape, (void)threads;
  return 0;
}

static int tasks(const void *plan, ce_shape shape, int threads) {
  (void)plan, (void)shape, (void)threads;
  return 1;
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const ce_csr_gemm_desc *desc = &((const plan_t *)plan_)->desc;
  (void)task;
  for (int64_t n = 0; n < run->shape.n; ++n)
    for (int64_t m = 0; m < desc->out_features; ++m) {
      double sum = desc->bias[m];
      for (int32_t i = desc->row_ptr[m]; i < desc->row_ptr[m + 1]; ++i)
        sum += (double)((const float *)desc->values)[i] * run->x[n * desc->in_features + desc->col_idx[i]];
      run->y[n * desc->out_features + m] = ce_activate1(sum, desc->activation, desc->clip_min, desc->clip_max);
    }
}

CE_DEFINE_KERNEL(csr_gemm, reference)
