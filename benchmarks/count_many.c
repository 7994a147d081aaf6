/* Runs many models in one process, each between two marks that a plugin of qemu counts instructions at.
 *
 *   count_many libonnxruntime.so libchita_edge.so list
 *
 * A line of the list: `0|1 model.onnx x.raw 1,64,128`; 1 with the kernel library. The second run of each is counted. To start
 * ONNX Runtime takes an emulator seconds, and a layer of a few sizes only milliseconds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../device_bench/runner/model.h"

#define MARK 77 /* a `which` that getpriority does not know; count_marks.c looks for it */

static void mark(void) { syscall(SYS_getpriority, MARK, 0); }

int main(int argc, char** argv) {
  char path[4096], input[4096], shape[256];
  int sparse;
  FILE* list = argc == 4 ? fopen(argv[3], "r") : NULL;
  if (!list) return fprintf(stderr, "count_many: give ONNX Runtime, the kernel library and a list\n"), 2;
  runtime r = runtime_open(argv[1]);
  while (fscanf(list, "%d %4095s %4095s %255s", &sparse, path, input, shape) == 4) {
    arguments a = {.library = sparse ? argv[2] : NULL, .model = path, .input = input, .threads = "1", .input_count = 1};
    input_shape* x = &a.inputs[0];
    x->type = ORT_FLOAT;
    for (char* part = strtok(shape, ","); part && x->rank < MAX_RANK; part = strtok(NULL, ",")) x->dims[x->rank++] = atoll(part);
    inputs given = inputs_read(&a);
    model m = model_open(&r, &a, NULL);
    bound_inputs bound = inputs_bind(&r, &given);
    for (int run = 0; run < 2; run++) {
      if (run == 1) mark();
      OrtValue* output = model_run(&m, &bound);
      if (run == 1) mark();
      ORT(r.api, ReleaseValue)(output);
    }
    inputs_release(&r, &bound);
    model_close(&m);
    inputs_free(&given);
  }
  fclose(list);
  runtime_close(&r);
  return 0;
}
