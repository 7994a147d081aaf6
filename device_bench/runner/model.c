#include "model.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static void fail(const char* what, const char* why) {
  fprintf(stderr, "runner: %s: %s\n", what, why);
  exit(1);
}

static void check(const runtime* r, const char* what, OrtStatus* status) {
  if (status) fail(what, ORT(r->api, GetErrorMessage)(status));
}

runtime runtime_open(const char* library) {
  /* Read by ONNX Runtime when it starts: nothing is ever uploaded from a device. */
  setenv("ORT_DISABLE_TELEMETRY", "1", 1);
  void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) fail("cannot load ONNX Runtime", dlerror());
  const OrtApiBase* (*get_base)(void) = (const OrtApiBase* (*)(void))dlsym(handle, "OrtGetApiBase");
  if (!get_base) fail("this is not ONNX Runtime", library);
  const OrtApiBase* base = get_base();
  runtime r = {.api = base->GetApi(ORT_API_VERSION), .version = base->GetVersionString()};
  if (!r.api) fail("ONNX Runtime 1.18 or newer is needed, this is", r.version);
  check(&r, "cannot start ONNX Runtime", ORT(r.api, CreateEnv)(ORT_LOG_WARNING, "runner", &r.env));
  check(&r, "cannot turn telemetry off", ORT(r.api, DisableTelemetryEvents)(r.env));
  return r;
}

void runtime_close(runtime* r) { ORT(r->api, ReleaseEnv)(r->env); }

/* The same settings as runtimes/session.py. */
static OrtSessionOptions* options_for(const runtime* r, const arguments* a, const char* trace) {
  OrtSessionOptions* o;
  check(r, "options", ORT(r->api, CreateSessionOptions)(&o));
  check(r, "threads", ORT(r->api, SetIntraOpNumThreads)(o, atoi(a->threads)));
  check(r, "threads", ORT(r->api, SetInterOpNumThreads)(o, 1));
  check(r, "optimisation level", ORT(r->api, SetSessionGraphOptimizationLevel)(o, ORT_OPTIMISE_ALL));
  check(r, "spinning", ORT(r->api, AddSessionConfigEntry)(o, "session.force_spinning_stop", "1"));
  if (trace) check(r, "profile", ORT(r->api, EnableProfiling)(o, trace));
  if (!a->library) return o;
  check(r, "threads", ORT(r->api, AddSessionConfigEntry)(o, "chita_edge.intra_op_threads", a->threads));
  if (a->isa) check(r, "isa", ORT(r->api, AddSessionConfigEntry)(o, "chita_edge.isa", a->isa));
  check(r, "cannot load the kernel library", ORT(r->api, RegisterCustomOpsLibrary_V2)(o, a->library));
  return o;
}

model model_open(const runtime* r, const arguments* a, const char* trace) {
  model m = {.runtime = r, .input_count = a->input_count};
  OrtAllocator* allocator;
  OrtSessionOptions* o = options_for(r, a, trace);
  check(r, a->model, ORT(r->api, CreateSession)(r->env, a->model, o, &m.session));
  ORT(r->api, ReleaseSessionOptions)(o);
  check(r, "allocator", ORT(r->api, GetAllocatorWithDefaultOptions)(&allocator));
  for (int i = 0; i < m.input_count; i++)
    check(r, "input name", ORT(r->api, SessionGetInputName)(m.session, (size_t)i, allocator, &m.input_names[i]));
  check(r, "output name", ORT(r->api, SessionGetOutputName)(m.session, 0, allocator, &m.output_name));
  return m;
}

void model_close(model* m) {
  const runtime* r = m->runtime;
  OrtAllocator* allocator;
  check(r, "allocator", ORT(r->api, GetAllocatorWithDefaultOptions)(&allocator));
  for (int i = 0; i < m->input_count; i++)
    check(r, "input name", ORT(r->api, AllocatorFree)(allocator, m->input_names[i]));
  check(r, "output name", ORT(r->api, AllocatorFree)(allocator, m->output_name));
  ORT(r->api, ReleaseSession)(m->session);
}

static char* read_text(const char* path) {
  FILE* file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) fail("cannot read the profile", path);
  const long size = ftell(file);
  char* text = size < 0 ? NULL : malloc((size_t)size + 1);
  if (!text) fail("not enough memory for the profile", path);
  rewind(file);
  if (fread(text, 1, (size_t)size, file) != (size_t)size) fail("cannot read the profile", path);
  fclose(file);
  text[size] = 0;
  return text;
}

char* model_trace(model* m) {
  const runtime* r = m->runtime;
  OrtAllocator* allocator;
  char* path;
  check(r, "allocator", ORT(r->api, GetAllocatorWithDefaultOptions)(&allocator));
  check(r, "profile", ORT(r->api, SessionEndProfiling)(m->session, allocator, &path));
  char* text = read_text(path);
  remove(path);
  check(r, "profile", ORT(r->api, AllocatorFree)(allocator, path));
  return text;
}

bound_inputs inputs_bind(const runtime* r, const inputs* in) {
  bound_inputs bound = {.count = in->a->input_count};
  OrtMemoryInfo* memory;
  check(r, "memory", ORT(r->api, CreateCpuMemoryInfo)(ORT_CPU_ARENA, ORT_MEM_DEFAULT, &memory));
  for (int i = 0; i < bound.count; i++) {
    const input_shape* shape = &in->a->inputs[i];
    check(r, "the input does not have the shape",
          ORT(r->api, CreateTensorWithDataAsOrtValue)(memory, in->data[i], in->bytes[i], shape->dims,
                                                      (size_t)shape->rank, shape->type, &bound.values[i]));
  }
  ORT(r->api, ReleaseMemoryInfo)(memory);
  return bound;
}

void inputs_release(const runtime* r, bound_inputs* bound) {
  for (int i = 0; i < bound->count; i++) ORT(r->api, ReleaseValue)(bound->values[i]);
}

OrtValue* model_run(const model* m, const bound_inputs* in) {
  const char* out = m->output_name;
  OrtValue* output = NULL;
  check(m->runtime, "run",
        ORT(m->runtime->api, Run)(m->session, NULL, (const char* const*)m->input_names,
                                  (const OrtValue* const*)in->values, (size_t)in->count, &out, 1, &output));
  return output;
}

int tensor_dims(const runtime* r, const OrtValue* value, int64_t* dims) {
  OrtTensorTypeAndShapeInfo* shape;
  size_t rank;
  int type;
  check(r, "output", ORT(r->api, GetTensorTypeAndShape)(value, &shape));
  check(r, "output", ORT(r->api, GetTensorElementType)(shape, &type));
  check(r, "output", ORT(r->api, GetDimensionsCount)(shape, &rank));
  const int is_float = type == ORT_FLOAT;
  if (is_float && rank > MAX_RANK) fail("output", "it has more than 8 dimensions");
  if (is_float) check(r, "output", ORT(r->api, GetDimensions)(shape, dims, rank));
  ORT(r->api, ReleaseTensorTypeAndShapeInfo)(shape);
  return is_float ? (int)rank : -1;
}

const float* tensor_data(const runtime* r, const OrtValue* value) {
  void* data;
  check(r, "output", ORT(r->api, GetTensorMutableData)((OrtValue*)value, &data));
  return data;
}
