/* Advanced SIMD is part of every 64-bit Arm that runs Linux or Android; what is optional comes from AT_HWCAP. */
#if defined(__aarch64__)
#include "cpu/features.h"
#include "edge.h"

unsigned ce_cpu_isas(void) { return 1u << CE_ISA_neon; }
#endif
