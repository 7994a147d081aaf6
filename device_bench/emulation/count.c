/* A plugin for qemu-user (plugin API 1, as in qemu 7.2) that counts executed instructions and prints
 * `instructions: N` when the program ends. qemu's header is not packaged, so the functions used are declared here. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb*));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb*, int operation, void* counter, uint64_t add);
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void*), void*);
extern void qemu_plugin_outs(const char*);

EXPORT int qemu_plugin_version = 1;
static uint64_t instructions;

/* Called once when a block is translated; the addition itself is compiled into the block. */
static void on_translate(plugin_id id, struct qemu_plugin_tb* block) {
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_inline(block, 0, &instructions, qemu_plugin_tb_n_insns(block));
}

static void on_exit(plugin_id id, void* user) {
  (void)id, (void)user;
  char line[64];
  snprintf(line, sizeof line, "instructions: %llu\n", (unsigned long long)instructions);
  qemu_plugin_outs(line);
}

EXPORT int qemu_plugin_install(plugin_id id, const void* info, int argc, char** argv) {
  (void)info, (void)argc, (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
  qemu_plugin_register_atexit_cb(id, on_exit, NULL);
  return 0;
}
