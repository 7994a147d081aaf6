/* Sparse convolution with N:M weights: a plan of the sparse convolution, made of packed weights, which that one runs. */
#include "nm_conv/storage.h"

#define CE_CSR_CONV_OF(isa) CE_CSR_CONV_EXPANDED(isa)
#define CE_CSR_CONV_EXPANDED(isa) ce_csr_conv_float32_##isa
extern const ce_kernel CE_CSR_CONV_OF(CE_ISA);

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return CE_CSR_CONV_OF(CE_ISA).scratch_bytes(plan, shape, threads);
}

static int tasks(const void *plan, ce_shape shape, int threads) {
  return CE_CSR_CONV_OF(CE_ISA).tasks(plan, shape, threads);
}

static void run_task(const void *plan, const ce_run *run, int task) { CE_CSR_CONV_OF(CE_ISA).run(plan, run, task); }

CE_DEFINE_KERNEL(nm_conv, CE_ISA)
