/* What a kernel hands to the dispatch: one ce_kernel named ce_<op>_<dtype>_<isa>. See edge.h for what the functions do. */
#ifndef CE_COMMON_KERNEL_H
#define CE_COMMON_KERNEL_H

#include "edge.h"

typedef struct ce_kernel {
  int dtype, isa;
  size_t (*plan_bytes)(const void *desc); /* 0: this kernel does not do that; the reference does everything */
  void (*plan_init)(void *plan, const void *desc);
  size_t (*scratch_bytes)(const void *plan, ce_shape shape, int threads);
  int (*tasks)(const void *plan, ce_shape shape, int threads);
  void (*run)(const void *plan, const ce_run *run, int task);
  size_t (*fed_scratch_bytes)(const void *plan, ce_shape shape); /* csr_conv; NULL: its inputs come from memory only */
} ce_kernel;

/* The first member of every plan; the dispatch sets it. */
typedef struct ce_plan_head {
  const ce_kernel *kernel;
} ce_plan_head;

/* The kernel of this source: CE_DEFINE_KERNEL(csr_conv, reference), or CE_DEFINE_KERNEL(csr_conv, CE_ISA) where the build
 * defines CE_ISA, and CE_DTYPE. The functions bear the names of the members. */
#ifndef CE_DTYPE
#define CE_DTYPE float32
#endif
#define CE_DEFINE_KERNEL(op, isa) CE_DEFINE_KERNEL_EXPANDED(op, CE_DTYPE, isa)
#define CE_DEFINE_KERNEL_EXPANDED(op, dtype, isa) CE_DEFINE_KERNEL_OF(op, dtype, isa)
#define CE_DEFINE_KERNEL_OF(op, dtype, isa)         \
  extern const ce_kernel ce_##op##_##dtype##_##isa; \
  const ce_kernel ce_##op##_##dtype##_##isa = {CE_DTYPE_##dtype, CE_ISA_##isa, plan_bytes, plan_init, \
                                               scratch_bytes, tasks, run_task, CE_FED};

/* fed_scratch_bytes, where a source has it. */
#ifndef CE_FED
#define CE_FED 0
#endif

/* Outputs larger than this are not in a second-level cache: where a kernel writes next is fetched ahead. */
#define CE_LARGE_OUTPUT_BYTES (768 * 1024)

static inline size_t ce_round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }
static inline int64_t ce_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t ce_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t ce_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* ORT's Clip: NaN fails both comparisons and passes. */
static inline float ce_clip1(float value, float lowest, float highest) {
  value = lowest > value ? lowest : value;
  return highest < value ? highest : value;
}

#endif
