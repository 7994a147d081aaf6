/* Advanced SIMD is part of every 64-bit Arm that runs Linux or Android; a 32-bit library is built for it and runs nowhere else. */
#if defined(__ARM_NEON)
#include "cpu/features.h"
#include "edge.h"

#if defined(__aarch64__)
enum { OPENAT = 56, CLOSE = 57, READ = 63 };        /* system calls of Linux on 64-bit Arm */
enum { AT_NULL = 0, AT_HWCAP = 16, ASIMDHP = 1 << 10 }; /* getauxval(3); bits of asm/hwcap.h */

static long system_call(long number, long a, long b, long c, long d) {
  register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c, x3 __asm__("x3") = d;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory", "cc");
  return x0;
}

/* What the kernel told the process of the processor at its start, without libc's getauxval; 0 where that cannot be read. */
static uint64_t hwcap(void) {
  const long file = system_call(OPENAT, -100, (long)"/proc/self/auxv", 0, 0);
  uint64_t entry[2] = {AT_NULL, 0}, found = 0;
  while (file >= 0 && system_call(READ, file, (long)entry, sizeof entry, 0) == sizeof entry && entry[0] != AT_NULL)
    if (entry[0] == AT_HWCAP) found = entry[1];
  if (file >= 0) system_call(CLOSE, file, 0, 0, 0);
  return found;
}

unsigned ce_cpu_isas(void) { return 1u << CE_ISA_neon | (hwcap() & ASIMDHP ? 1u << CE_ISA_neon_fp16 : 0); }
#else
unsigned ce_cpu_isas(void) { return 1u << CE_ISA_neon; }
#endif
#endif
