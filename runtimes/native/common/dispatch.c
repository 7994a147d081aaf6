/* The table of kernels, the ISA in force, and the public functions of edge.h on top of them. */
#include "common/kernel.h"
#include "cpu/features.h"

#define CE_KERNEL(op, isa) extern const ce_kernel ce_##op##_##isa;
#include "kernels.inc"
#undef CE_KERNEL

enum ce_op {
  CE_OP_csr_conv,
  CE_OP_block_csr_conv,
  CE_OP_nm_conv,
  CE_OP_csr_gemm,
  CE_OP_nm_gemm,
  CE_OP_depthwise_conv,
  CE_OP_dense_conv,
  CE_OP_global_average_pool,
  CE_OP_conv_chain,
};

static const struct {
  enum ce_op op;
  const ce_kernel *kernel;
} TABLE[] = {
#define CE_KERNEL(op, isa) {CE_OP_##op, &ce_##op##_##isa},
#include "kernels.inc"
#undef CE_KERNEL
};

static int max_isa = CE_ISA_best;

/* Bit i is set where the CPU runs enum ce_isa i; asked once, and the same whoever asks first. */
static unsigned usable_isas(void) {
  static unsigned known = 0;
  if (!known) known = ce_cpu_isas() | 1u << CE_ISA_reference;
  return known;
}

int ce_isa(void) {
  int best = CE_ISA_reference;
  for (int isa = 0; isa < 32 && isa <= max_isa; ++isa)
    if (usable_isas() >> isa & 1) best = isa;
  return best;
}

int ce_select_isa(int isa) {
  max_isa = isa;
  return ce_isa();
}

/* The kernel of the highest usable ISA that takes desc. The reference is first in the table and takes everything. */
static const ce_kernel *choose(enum ce_op op, const void *desc, size_t *bytes) {
  const ce_kernel *best = 0;
  const int highest = ce_isa();
  for (size_t i = 0; i < sizeof TABLE / sizeof TABLE[0]; ++i) {
    const ce_kernel *kernel = TABLE[i].kernel;
    if (TABLE[i].op != op || kernel->isa > highest || !(usable_isas() >> kernel->isa & 1)) continue;
    if (best && kernel->isa < best->isa) continue;
    const size_t needed = kernel->plan_bytes(desc);
    if (!needed) continue;
    best = kernel;
    *bytes = needed;
  }
  return best;
}

static size_t plan_bytes(enum ce_op op, const void *desc) {
  size_t bytes = 0;
  choose(op, desc, &bytes);
  return bytes;
}

static void plan_init(enum ce_op op, void *plan, const void *desc) {
  size_t bytes;
  const ce_kernel *kernel = choose(op, desc, &bytes);
  ((ce_plan_head *)plan)->kernel = kernel;
  kernel->plan_init(plan, desc);
}

static inline const ce_kernel *kernel_of(const void *plan) { return ((const ce_plan_head *)plan)->kernel; }

#define CE_DEFINE_OP(op)                                                                                     \
  size_t ce_##op##_plan_bytes(const ce_##op##_desc *desc) { return plan_bytes(CE_OP_##op, desc); }           \
  void ce_##op##_plan_init(void *plan, const ce_##op##_desc *desc) { plan_init(CE_OP_##op, plan, desc); }    \
  size_t ce_##op##_scratch_bytes(const void *plan, ce_shape shape, int threads) {                            \
    return kernel_of(plan)->scratch_bytes(plan, shape, threads);                                             \
  }                                                                                                          \
  int ce_##op##_tasks(const void *plan, ce_shape shape, int threads) {                                       \
    return kernel_of(plan)->tasks(plan, shape, threads);                                                     \
  }                                                                                                          \
  void ce_##op##_run(const void *plan, const ce_run *run, int task) { kernel_of(plan)->run(plan, run, task); } \
  int ce_##op##_plan_isa(const void *plan) { return kernel_of(plan)->isa; }

CE_DEFINE_OP(csr_conv)
CE_DEFINE_OP(block_csr_conv)
CE_DEFINE_OP(nm_conv)
CE_DEFINE_OP(csr_gemm)
CE_DEFINE_OP(nm_gemm)
CE_DEFINE_OP(depthwise_conv)
CE_DEFINE_OP(dense_conv)
CE_DEFINE_OP(global_average_pool)
CE_DEFINE_OP(conv_chain)

size_t ce_csr_conv_fed_scratch_bytes(const void *plan, ce_shape shape) {
  const ce_kernel *kernel = kernel_of(plan);
  return kernel->fed_scratch_bytes ? kernel->fed_scratch_bytes(plan, shape) : 0;
}
