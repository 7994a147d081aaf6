/* Where the linker of Android begins: hand the stack, as the kernel left it, to the C library, which runs main. */
#include <stddef.h>

/* A note that the linker and tools read: built for API level 24 (Android 7), the oldest that ONNX Runtime supports. */
__attribute__((section(".note.android.ident"), used, aligned(4))) static const struct {
  unsigned name_size, size, type;
  char name[8];
  unsigned api_level;
} ident = {8, 4, 1, "Android", 24};

/* Lists of functions to call, and since Android 15 their lengths. The linker has called ours; there are none to end with. */
typedef struct {
  void (**lists[3])(void);
  size_t lengths[3];
} constructors;

extern int main(int argc, char** argv, char** environment);
extern _Noreturn void __libc_init(void* stack, void (*on_exit)(void), int (*main)(int, char**, char**),
                                  const constructors*);

__attribute__((used)) _Noreturn static void start_c(void* stack) {
  static const constructors none;
  __libc_init(stack, NULL, main, &none);
}

__asm__(
    ".globl _start\n"
    ".type _start,%function\n"
    "_start:\n"
    "  mov x29, xzr\n"
    "  mov x30, xzr\n"
    "  mov x0, sp\n"
    "  b start_c\n");
