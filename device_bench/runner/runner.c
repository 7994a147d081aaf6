/* Runs models on a device that has no Python: reads raw inputs, prints one JSON object.
 *
 *   runner --ort libonnxruntime.so [--library libchita_edge.so] --model model.onnx --input x.raw --shape 1,3,224,224
 *          [--output y.raw] [--threads 1] [--isa neon] [--runs 1]
 *
 * runs one model and writes its first output if that is float32; --shape stands once for each input, 7:1,128 for one of
 * int64, by ONNX's numbers of types;
 *
 *   runner --ort libonnxruntime.so --library libchita_edge.so --dense NAME=FILE --sparse NAME=FILE ... --input x.raw
 *          --shape 1,3,224,224 [--threads 1] [--samples 60] [--duration-ms 0] [--warmup-rounds 200] [--warmup-ms 10000]
 *          [--seed 0] [--abba 0] [--cores 0,2-3|big|little] [--time-limit-s 3600] [--profile 0]
 *
 * measures models in turns (bench.c); its JSON object is a results file, and before it come lines with every sample.
 *
 * Exit status: 0 done, 1 something failed (a sentence is on stderr), 2 wrong usage. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "arguments.h"
#include "bench.h"
#include "inputs.h"
#include "model.h"

static void fail(const char* what, const char* path) {
  fprintf(stderr, "runner: %s %s\n", what, path);
  exit(1);
}

static void write_floats(const char* path, const float* data, size_t elements) {
  FILE* file = fopen(path, "wb");
  if (!file || fwrite(data, sizeof(float), elements, file) != elements || fclose(file)) fail("cannot write", path);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char** argv) {
  arguments a;
  arguments_read(argc, argv, &a);
  inputs given = inputs_read(&a);
  if (a.model_count) {
    bench(&a, &given);
    inputs_free(&given);
    return 0;
  }
  runtime r = runtime_open(a.ort);
  const uint64_t begin = now_ns();
  model m = model_open(&r, &a, NULL);
  const uint64_t created = now_ns();
  bound_inputs bound = inputs_bind(&r, &given);

  printf("{\"schema_version\": 1, \"onnxruntime\": \"%s\", \"create_ns\": %llu, \"samples_ns\": [", r.version,
         (unsigned long long)(created - begin));
  OrtValue* output = NULL;
  for (int i = 0; i < a.runs; i++) {
    if (output) ORT(r.api, ReleaseValue)(output);
    const uint64_t start = now_ns();
    output = model_run(&m, &bound);
    printf("%s%llu", i ? ", " : "", (unsigned long long)(now_ns() - start));
  }
  printf("]");
  if (output) {
    int64_t dims[MAX_RANK];
    const int rank = tensor_dims(&r, output, dims);
    if (rank >= 0) printf(", \"output_shape\": [");
    for (int i = 0; i < rank; i++) printf("%s%lld", i ? ", " : "", (long long)dims[i]);
    if (rank >= 0) printf("]");
    if (a.output && rank >= 0) write_floats(a.output, tensor_data(&r, output), elements_of(dims, rank));
    ORT(r.api, ReleaseValue)(output);
  }
  printf("}\n");
  inputs_release(&r, &bound);
  model_close(&m);
  runtime_close(&r);
  inputs_free(&given);
  return 0;
}
