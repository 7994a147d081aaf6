/* cpuid and xgetbv (Intel SDM volume 1, chapters 14 and 15). */
#if defined(__x86_64__)
#include <cpuid.h>
#include <stdint.h>

#include "cpu/features.h"
#include "edge.h"

static uint64_t enabled_state(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

#define HAS(word, bit) ((word) >> (bit) & 1)

unsigned ce_cpu_isas(void) {
  unsigned isas = 1u << CE_ISA_sse2, a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return isas;
  const int fma = HAS(c, 12) && HAS(c, 28) && HAS(c, 29) && HAS(c, 22) && HAS(c, 23); /* FMA AVX F16C MOVBE POPCNT */
  if (!fma || !HAS(c, 27)) return isas;                                               /* OSXSAVE */
  const uint64_t state = enabled_state();
  if ((state & 0x6) != 0x6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return isas; /* xmm and ymm */
  const unsigned features7 = b, more7 = c;
  const unsigned avx_vnni = a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) ? HAS(a, 4) : 0;
  if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !HAS(c, 5)) return isas;                           /* LZCNT */
  if (!HAS(features7, 5) || !HAS(features7, 3) || !HAS(features7, 8)) return isas;                 /* AVX2 BMI1 BMI2 */
  isas |= 1u << CE_ISA_avx2 | avx_vnni << CE_ISA_avx_vnni;
  const int avx512 = HAS(features7, 16) && HAS(features7, 17) && HAS(features7, 28) && HAS(features7, 30) && HAS(features7, 31);
  if (!avx512 || (state & 0xe6) != 0xe6) return isas; /* F DQ CD BW VL; opmask and zmm */
  isas |= 1u << CE_ISA_avx512 | HAS(more7, 11) << CE_ISA_avx512_vnni;
  return isas;
}
#endif
