/* The obvious loops: sums in double, over a dense copy of each row's weights. */
#include "common/activate1.h"
#include "common/nm.h"
#include "common/values.h"

typedef struct plan_t {
  ce_plan_head head;
  ce_nm_gemm_desc desc;
  float *dense; /* [out, in] */
} plan_t;

static size_t plan_bytes(const void *desc_) {
  const ce_nm_gemm_desc *desc = desc_;
  return sizeof(plan_t) + 4 * ((size_t)desc->out_features * (size_t)desc->in_features + (size_t)desc->out_features);
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_nm_gemm_desc *desc = desc_;
  const ce_nm_weight *w = &desc->weight;
  const int64_t outs = desc->out_features, ins = desc->in_features, groups = ce_nm_groups(ins, w->m);
  plan->desc = *desc;
  plan->dense = (float *)(plan + 1);
  float *bias = plan->dense + outs * ins;
  plan->desc.bias = bias;
  for (int64_t i = 0; i < outs * ins; ++i) plan->dense[i] = 0;
  for (int64_t i = 0; i < outs; ++i) bias[i] = desc->bias[i];
  for (int64_t slot = 0; slot < outs * groups * w->n; ++slot) {
    const float value = ce_value(w->values, desc->dtypes, slot);
    if (value == 0) continue;
    const int64_t group = slot / w->n % groups, row = slot / w->n / groups;
    plan->dense[row * ins + group * w->m + ce_nm_channel(w->index, ce_nm_bits(w->m), slot)] = value;
  }
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
  const plan_t *plan = plan_;
  const ce_nm_gemm_desc *desc = &plan->desc;
  const int64_t outs = desc->out_features, ins = desc->in_features;
  (void)task;
  for (int64_t n = 0; n < run->shape.n; ++n)
    for (int64_t m = 0; m < outs; ++m) {
      double sum = desc->bias[m];
      for (int64_t k = 0; k < ins; ++k)
        if (plan->dense[m * ins + k] != 0) sum += (double)plan->dense[m * ins + k] * run->x[n * ins + k];
      run->y[n * outs + m] = ce_activate1(sum, desc->activation, desc->clip_min, desc->clip_max);
    }
}

CE_DEFINE_KERNEL(nm_gemm, reference)
