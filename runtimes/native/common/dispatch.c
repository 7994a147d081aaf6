/* The table of kernels, and the public functions of edge.h on top of it. */
#include "common/kernel.h"
#include "cpu/features.h"

#define CE_KERNEL(op, dtype, isa) extern const ce_kernel ce_##op##_##dtype##_##isa;
#include "kernels.inc"
#undef CE_KERNEL

enum ce_op {
#define CE_OP(op, dtype) CE_OP_##op,
#include "ops.inc"
#undef CE_OP
};

/* The data type that each op is in. */
static const unsigned char OWN[] = {
#define CE_OP(op, dtype) CE_DTYPE_##dtype,
#include "ops.inc"
#undef CE_OP
};

static const struct {
  enum ce_op op;
  const ce_kernel *kernel;
} TABLE[] = {
#define CE_KERNEL(op, dtype, isa) {CE_OP_##op, &ce_##op##_##dtype##_##isa},
#include "kernels.inc"
#undef CE_KERNEL
};

/* Asked once; threads that ask at the same time find the same. */
unsigned ce_usable_isas(void) {
  static unsigned found = 0;
  unsigned isas = __atomic_load_n(&found, __ATOMIC_RELAXED);
  if (!isas) {
    isas = ce_cpu_isas() | 1u << CE_ISA_reference;
    __atomic_store_n(&found, isas, __ATOMIC_RELAXED);
  }
  return isas;
}

/* The next lower kernel of a data type than `below`, for a usable ISA up to `isa`; NULL where there is none. */
static const ce_kernel *next_of(enum ce_op op, int dtype, int isa, const ce_kernel *below) {
  const ce_kernel *best = 0;
  const unsigned usable = ce_usable_isas();
  for (size_t i = 0; i < sizeof TABLE / sizeof TABLE[0]; ++i) {
    const ce_kernel *kernel = TABLE[i].kernel;
    if (TABLE[i].op != op || kernel->dtype != dtype || kernel->isa > isa || !(usable >> kernel->isa & 1)) continue;
    if ((!below || kernel->isa < below->isa) && (!best || kernel->isa > best->isa)) best = kernel;
  }
  return best;
}

/* The kernel of a data type of the highest usable ISA up to `isa` that takes desc; NULL where there is none. Lower ones are not
 * asked: the answer may take a pass over all weights. */
static const ce_kernel *choose_of(enum ce_op op, const void *desc, int dtype, int isa, size_t *bytes) {
  const ce_kernel *kernel = next_of(op, dtype, isa, 0);
  while (kernel && !(*bytes = kernel->plan_bytes(desc))) kernel = next_of(op, dtype, isa, kernel);
  return kernel;
}

/* In the data type that desc allows if there is such a kernel, else in the op's own, in which the reference takes everything. */
static const ce_kernel *choose(enum ce_op op, const void *desc, int isa, size_t *bytes) {
  const int dtype = ((const ce_dtypes *)desc)->compute;
  const ce_kernel *found = dtype == OWN[op] ? 0 : choose_of(op, desc, dtype, isa, bytes);
  return found ? found : choose_of(op, desc, OWN[op], isa, bytes);
}

static size_t plan_bytes(enum ce_op op, const void *desc, int isa) {
  size_t bytes = 0;
  choose(op, desc, isa, &bytes);
  return bytes;
}

static void plan_init(enum ce_op op, void *plan, const void *desc, int isa) {
  size_t bytes;
  const ce_kernel *kernel = choose(op, desc, isa, &bytes);
  ((ce_plan_head *)plan)->kernel = kernel;
  kernel->plan_init(plan, desc);
}

static inline const ce_kernel *kernel_of(const void *plan) { return ((const ce_plan_head *)plan)->kernel; }

#define CE_DEFINE_OP(op)                                                                                     \
  size_t ce_##op##_plan_bytes(const ce_##op##_desc *desc, int isa) { return plan_bytes(CE_OP_##op, desc, isa); } \
  void ce_##op##_plan_init(void *plan, const ce_##op##_desc *desc, int isa) { plan_init(CE_OP_##op, plan, desc, isa); } \
  size_t ce_##op##_scratch_bytes(const void *plan, ce_shape shape, int threads) {                            \
    return kernel_of(plan)->scratch_bytes(plan, shape, threads);                                             \
  }                                                                                                          \
  int ce_##op##_tasks(const void *plan, ce_shape shape, int threads) {                                       \
    return kernel_of(plan)->tasks(plan, shape, threads);                                                     \
  }                                                                                                          \
  void ce_##op##_run(const void *plan, const ce_run *run, int task) { kernel_of(plan)->run(plan, run, task); } \
  int ce_##op##_plan_isa(const void *plan) { return kernel_of(plan)->isa; }

#define CE_OP(op, dtype) CE_DEFINE_OP(op)
#include "ops.inc"
#undef CE_OP

size_t ce_csr_conv_fed_scratch_bytes(const void *plan, ce_shape shape) {
  const ce_kernel *kernel = kernel_of(plan);
  return kernel->fed_scratch_bytes ? kernel->fed_scratch_bytes(plan, shape) : 0;
}

int ce_q_conv_chosen_isa(const ce_q_conv_desc *desc, int isa) {
  size_t bytes;
  return choose(CE_OP_q_conv, desc, isa, &bytes)->isa;
}

int ce_q_depthwise_conv_chosen_isa(const ce_q_conv_desc *desc, int isa) {
  size_t bytes;
  return choose(CE_OP_q_depthwise_conv, desc, isa, &bytes)->isa;
}
