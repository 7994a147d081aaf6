/* A model in ONNX Runtime, through the project's own declaration of the C ABI: opened once, run many times.
 *
 * What fails prints `runner: sentence` with ONNX Runtime's own words and ends the program with status 1: the process is
 * short-lived, and whoever started it reads its status. */
#ifndef CHITA_EDGE_RUNNER_MODEL_H
#define CHITA_EDGE_RUNNER_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "../../runtimes/native/ort/abi.h"
#include "arguments.h"
#include "inputs.h"

typedef struct runtime {
  const OrtApi* api;
  OrtEnv* env;
  const char* version;
} runtime;

typedef struct model {
  const runtime* runtime;
  OrtSession* session;
  char *input_names[MAX_INPUTS], *output_name;
  int input_count;
} model;

/* Inputs as ONNX Runtime takes them, over content that they do not own. */
typedef struct bound_inputs {
  OrtValue* values[MAX_INPUTS];
  int count;
} bound_inputs;

runtime runtime_open(const char* library);
void runtime_close(runtime*);

/* With `a->library` the kernels of that library are registered, without it the session is stock ONNX Runtime.
 * With `trace` ONNX Runtime's profiler is on, and writes a file whose name begins so. */
model model_open(const runtime*, const arguments* a, const char* trace);
void model_close(model*);

/* Ends the profile of a model that was opened with `trace`; returns its file's content, which the caller frees. */
char* model_trace(model*);

bound_inputs inputs_bind(const runtime*, const inputs*);
void inputs_release(const runtime*, bound_inputs*);
OrtValue* model_run(const model*, const bound_inputs*);

/* The shape of a float tensor: its rank; at most MAX_RANK dimensions are written. -1 for another type. */
int tensor_dims(const runtime*, const OrtValue*, int64_t* dims);
const float* tensor_data(const runtime*, const OrtValue*);

#endif
