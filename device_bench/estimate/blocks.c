/* A plugin for qemu-user (plugin API 1, as in qemu 7.2) that counts how often each basic block is executed, and writes a
 * line `EXECUTIONS BYTES` for each to the file of its option `out=`; BYTES are the block's instructions in hexadecimal.
 * qemu's header is not packaged, so the functions used are declared here. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb*));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
extern struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
extern const void* qemu_plugin_insn_data(const struct qemu_plugin_insn*);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn*);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb*, int operation, void* counter, uint64_t add);
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void*), void*);

EXPORT int qemu_plugin_version = 1;

typedef struct block {
  struct block* next;
  uint64_t executions;
  size_t size;
  uint8_t code[];
} block;
static block* all;
static char path[4096];

/* Called once when a block is translated, under qemu's lock; the counting itself is compiled into the block. */
static void on_translate(plugin_id id, struct qemu_plugin_tb* translated) {
  (void)id;
  const size_t count = qemu_plugin_tb_n_insns(translated);
  block* b = calloc(1, sizeof *b + 4 * count);
  if (!b) return;
  for (size_t i = 0; i < count; i++) {
    const struct qemu_plugin_insn* instruction = qemu_plugin_tb_get_insn(translated, i);
    if (qemu_plugin_insn_size(instruction) != 4) continue;
    memcpy(b->code + b->size, qemu_plugin_insn_data(instruction), 4);
    b->size += 4;
  }
  b->next = __atomic_load_n(&all, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(&all, &b->next, b, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) continue;
  qemu_plugin_register_vcpu_tb_exec_inline(translated, 0, &b->executions, 1);
}

static void on_end(plugin_id id, void* user) {
  (void)id, (void)user;
  FILE* file = fopen(path, "w");
  if (!file) return;
  for (const block* b = all; b; b = b->next) {
    if (!b->executions) continue;
    fprintf(file, "%llu ", (unsigned long long)b->executions);
    for (size_t i = 0; i < b->size; i++) fprintf(file, "%02x", b->code[i]);
    fputc('\n', file);
  }
  fclose(file);
}

EXPORT int qemu_plugin_install(plugin_id id, const void* info, int argc, char** argv) {
  (void)info;
  for (int i = 0; i < argc; i++)
    if (!strncmp(argv[i], "out=", 4)) snprintf(path, sizeof path, "%s", argv[i] + 4);
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
  qemu_plugin_register_atexit_cb(id, on_end, NULL);
  return 0;
}
