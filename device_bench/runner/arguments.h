/* The runner's command line: pairs of `--name value`. */
#ifndef CHITA_EDGE_RUNNER_ARGUMENTS_H
#define CHITA_EDGE_RUNNER_ARGUMENTS_H

#include <stdint.h>

#define MAX_RANK 8
#define MAX_MODELS 16
#define MAX_INPUTS 64
#define MAX_CORES 1024

typedef struct benched {
  const char *name, *path;
  int sparse; /* with the kernel library; otherwise stock ONNX Runtime */
} benched;

typedef struct input_shape {
  int type; /* ONNX's number of an element type */
  int64_t dims[MAX_RANK];
  int rank;
} input_shape;

typedef struct arguments {
  const char* ort;     /* libonnxruntime.so */
  const char* library; /* libchita_edge.so; NULL: stock ONNX Runtime */
  const char* model;
  const char* input;  /* raw content of the model's inputs, one behind the other in the model's order */
  const char* output; /* where the raw float32 of its first output goes; NULL: nowhere */
  const char* isa;    /* NULL: the best */
  const char* threads;
  int runs;
  input_shape inputs[MAX_INPUTS];
  int input_count;
  /* Of the benchmark, which is what is done if any --dense or --sparse is given. */
  benched models[MAX_MODELS];
  int model_count;
  int samples, warmup_rounds, warmup_ms, duration_ms, seed, abba;
  int keep; /* at most so many rounds are kept */
  int profile; /* add ONNX Runtime's own profile of every model */
  const char* cores; /* "0,2-3", "big", "little"; NULL: where the system likes */
} arguments;

/* Fills `out`, or prints a sentence and ends the program with status 2. */
void arguments_read(int argc, char** argv, arguments* out);

#endif
