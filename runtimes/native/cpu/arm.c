/* Advanced SIMD is part of every 64-bit Arm that runs Linux or Android; a 32-bit library is built for it and runs nowhere else. */
#if defined(__ARM_NEON)
#include "cpu/features.h"
#include "edge.h"

unsigned ce_cpu_isas(void) { return 1u << CE_ISA_neon; }
#endif
