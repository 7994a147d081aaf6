/* The three functions of libc that a compiler may call on its own, for a library that links none. */
#include <stddef.h>

#define CE_NO_BUILTIN __attribute__((no_builtin))

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);

CE_NO_BUILTIN void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
  char *out = to;
  const char *in = from;
  for (; bytes >= 8; bytes -= 8, out += 8, in += 8) {
    unsigned long long word;
    __builtin_memcpy_inline(&word, in, 8);
    __builtin_memcpy_inline(out, &word, 8);
  }
  while (bytes--) *out++ = *in++;
  return to;
}

CE_NO_BUILTIN void *memmove(void *to, const void *from, size_t bytes) {
  char *out = to;
  const char *in = from;
  if (out <= in || out >= in + bytes) return memcpy(to, from, bytes);
  while (bytes--) out[bytes] = in[bytes];
  return to;
}

CE_NO_BUILTIN void *memset(void *to, int byte, size_t bytes) {
  char *out = to;
  while (bytes--) *out++ = (char)byte;
  return to;
}
