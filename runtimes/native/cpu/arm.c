/* Advanced SIMD is part of every 64-bit Arm; a 32-bit library is built for it and runs nowhere else. What a processor has
 * besides is asked of Linux, and Android, by their system calls: elsewhere these mean something else, and the library makes
 * do with what every processor has. */
#if defined(__ARM_NEON)
#include "cpu/features.h"
#include "edge.h"

#if defined(__aarch64__) && defined(__linux__)
enum { OPENAT = 56, CLOSE = 57, READ = 63 };            /* system calls of Linux on 64-bit Arm */
enum { AT_NULL = 0, AT_HWCAP = 16, ASIMDHP = 1 << 10, ASIMDDP = 1 << 20 }; /* getauxval(3); bits of asm/hwcap.h */

static long system_call(long number, long a, long b, long c, long d) {
  register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c, x3 __asm__("x3") = d;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory", "cc");
  return x0;
}

/* Negative where it cannot be opened; then nothing is read of it. */
static long open_file(const char *path) { return system_call(OPENAT, -100, (long)path, 0, 0); }

static long read_file(long file, void *to, size_t bytes) {
  return file < 0 ? 0 : system_call(READ, file, (long)to, (long)bytes, 0);
}

static void close_file(long file) {
  if (file >= 0) system_call(CLOSE, file, 0, 0, 0);
}

/* What the kernel told the process of the processor at its start, without libc's getauxval; 0 where that cannot be read. */
static uint64_t hwcap(void) {
  const long file = open_file("/proc/self/auxv");
  uint64_t entry[2], found = 0;
  while (read_file(file, entry, sizeof entry) == sizeof entry && entry[0] != AT_NULL)
    if (entry[0] == AT_HWCAP) found = entry[1];
  close_file(file);
  return found;
}

/* Whether every core, by its line "CPU part : 0xd03", is a Cortex-A53, A35 or A55: where there is a larger one, the work is
 * done on that. */
static int is_in_order(void) {
  static const char line[] = "CPU part\t: 0x";
  const long file = open_file("/proc/cpuinfo");
  char text[512];
  int parts = 0, all = 1, matched = 0, part = 0;
  for (long count; (count = read_file(file, text, sizeof text)) > 0;)
    for (long i = 0; i < count; ++i) {
      const char c = text[i];
      if (matched < (int)sizeof line - 1) {
        matched = c == line[matched] ? matched + 1 : c == line[0];
        part = 0;
      } else if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) {
        part = (part & 0xffff) << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
      } else {
        ++parts;
        all &= part == 0xd03 || part == 0xd04 || part == 0xd05;
        matched = 0;
      }
    }
  close_file(file);
  return parts > 0 && all;
}

unsigned ce_cpu_isas(void) {
  const uint64_t has = hwcap();
  const unsigned in_order = (unsigned)is_in_order(), dot = !!(has & ASIMDDP);
  return 1u << CE_ISA_neon | in_order << CE_ISA_neon_inorder | (has & ASIMDHP ? 1u << CE_ISA_neon_fp16 : 0) |
         dot << CE_ISA_neon_dot | (dot & in_order) << CE_ISA_neon_dot_inorder;
}
#else
unsigned ce_cpu_isas(void) { return 1u << CE_ISA_neon; }
#endif
#endif
