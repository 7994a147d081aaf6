#include "kernel.h"

#include "scratch.h"

#define ALIGNMENT 64

typedef struct kernel {
  const OrtApi* api;
  OrtAllocator* allocator;
  const op* op;
  void* memory; /* the allocation that holds this struct and the plan */
  void* plan;
  int layers; /* 1, or the stages of a chain */
  ce_conv_geometry geometries[CE_MOST_STAGES];
  const settings* settings;
  char name[257];
} kernel;

static void* align(void* memory) {
  return (void*)(((uintptr_t)memory + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));
}

static OrtStatus* allocate(const OrtApi* api, OrtAllocator* allocator, size_t bytes, void** memory) {
  *memory = NULL;
  if (bytes > SIZE_MAX / 2) return ORT(api, CreateStatus)(ORT_FAIL, "chita.edge: a size overflows");
  OrtStatus* status = ORT(api, AllocatorAlloc)(allocator, bytes + ALIGNMENT - 1, memory);
  if (!status && !*memory) status = ORT(api, CreateStatus)(ORT_FAIL, "chita.edge: out of memory");
  return status;
}

static void release(const OrtApi* api, OrtAllocator* allocator, void* memory) {
  OrtStatus* status = memory ? ORT(api, AllocatorFree)(allocator, memory) : NULL;
  if (status) ORT(api, ReleaseStatus)(status);
}

/* The best ISA to use is one variable of the process, and both the size and the content of a plan depend on it: sessions
 * that are created at the same time take turns. */
static int isa_busy;

static int isa_take(int isa) {
  while (__atomic_exchange_n(&isa_busy, 1, __ATOMIC_ACQUIRE)) continue;
  const int before = ce_isa();
  ce_select_isa(isa);
  return before;
}

static void isa_give_back(int before) {
  ce_select_isa(before);
  __atomic_store_n(&isa_busy, 0, __ATOMIC_RELEASE);
}

static OrtStatus* plan(const OrtApi* api, const op* op, const op_source* source, kernel** out) {
  void* memory;
  const size_t plan_offset = (sizeof(kernel) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
  OrtStatus* status = allocate(api, source->allocator, plan_offset + op->plan_bytes(source), &memory);
  if (status) return status;
  kernel* k = align(memory);
  *k = (kernel){.api = api,
                .allocator = source->allocator,
                .op = op,
                .memory = memory,
                .plan = (char*)k + plan_offset,
                .layers = source->count};
  for (int i = 0; i < source->count; i++) k->geometries[i] = source->layers[i].geometry;
  op->plan_init(k->plan, source);
  *out = k;
  return NULL;
}

static OrtStatus* build(node* n, const op* op, const settings* settings, op_source* source, kernel** out) {
  if (!node_input_count(n, (size_t)op->inputs) || !op_read(n, op, source)) return n->status;
  const int before = isa_take(settings->isa);
  OrtStatus* status = plan(n->api, op, source, out);
  isa_give_back(before);
  if (status) return status;
  kernel* k = *out;
  k->settings = settings;
  size_t size = sizeof k->name;
  OrtStatus* unnamed = ORT(n->api, KernelInfo_GetNodeName)(n->info, k->name, &size);
  if (unnamed) ORT(n->api, ReleaseStatus)(unnamed);
  return NULL;
}

OrtStatus* kernel_create(const op* op, const settings* settings, const OrtApi* api, const OrtKernelInfo* info,
                         void** out) {
  node n = {.api = api, .info = info, .op = op->name, .stage = ""};
  op_source source = {.count = 0};
  *out = NULL;
  OrtStatus* status = ORT(api, KernelInfoGetAllocator)(info, ORT_MEM_DEFAULT, &source.allocator);
  if (status) return status;
  kernel* k = NULL;
  status = build(&n, op, settings, &source, &k);
  op_source_free(&n, &source);
  if (status) ORT(api, ReleaseAllocator)(source.allocator);
  *out = k;
  return status;
}

void kernel_destroy(void* memory) {
  kernel* k = memory;
  if (!k) return;
  const OrtApi* api = k->api;
  OrtAllocator* allocator = k->allocator;
  release(api, allocator, k->memory);
  ORT(api, ReleaseAllocator)(allocator);
}

static OrtStatus* refuse(const kernel* k, const char* format, ...) {
  text sentence = {.length = 0};
  text_add(&sentence, "chita.edge %s \"%s\": ", k->op->name, k->name);
  va_list arguments;
  va_start(arguments, format);
  text_add_list(&sentence, format, arguments);
  va_end(arguments);
  return ORT(k->api, CreateStatus)(ORT_INVALID_ARGUMENT, sentence.chars);
}

static OrtStatus* check_input(const kernel* k, int type, size_t rank) {
  if (type != ORT_FLOAT) return refuse(k, "its input must be float32");
  if (rank == (size_t)k->op->rank) return NULL;
  return refuse(k, "its input has %d dimensions, %d are needed", (int64_t)rank, (int64_t)k->op->rank);
}

static OrtStatus* input_dims(const kernel* k, const OrtValue* x, int64_t dims[4]) {
  const OrtApi* api = k->api;
  OrtTensorTypeAndShapeInfo* shape = NULL;
  size_t rank = 0;
  int type = ORT_UNDEFINED;
  if (k->settings->shape_references) { /* no object is made */
    const int64_t* reference = NULL;
    OrtStatus* status = ORT(api, GetTensorElementTypeAndShapeDataReference)(x, &type, &reference, &rank);
    if (!status) status = check_input(k, type, rank);
    for (size_t i = 0; i < rank && !status; i++) dims[i] = reference[i];
    return status;
  }
  OrtStatus* status = ORT(api, GetTensorTypeAndShape)(x, &shape);
  if (status) return status;
  status = ORT(api, GetTensorElementType)(shape, &type);
  if (!status) status = ORT(api, GetDimensionsCount)(shape, &rank);
  if (!status) status = check_input(k, type, rank);
  if (!status) status = ORT(api, GetDimensions)(shape, dims, rank);
  ORT(api, ReleaseTensorTypeAndShapeInfo)(shape);
  return status;
}

/* Every channel of every image is a plane; one image's elements, and those of the batch, fit int32. */
static OrtStatus* pooled_dims(const kernel* k, const int64_t in[4], ce_shape* shape, int64_t out[4]) {
  int64_t elements = 1;
  for (int i = 3; i >= 0; i--) {
    if (in[i] < 1 && i > 0) return refuse(k, "dimension %d of its input is %d", (int64_t)i, in[i]);
    if (in[i] > MAX_ELEMENTS || (elements *= in[i]) > MAX_ELEMENTS)
      return refuse(k, "its input has more than %d elements", (int64_t)MAX_ELEMENTS);
    out[i] = i < 2 ? in[i] : 1;
  }
  *shape = (ce_shape){in[0] * in[1], in[2], in[3]};
  return NULL;
}

/* From the dimensions of a layer's input to those of its output; refuses what is not possible or whose offsets do not fit
 * int32. */
static OrtStatus* layer_dims(const kernel* k, const ce_conv_geometry* g, const int64_t in[4], ce_shape* shape,
                             int64_t out[4]) {
  if (!g->in_channels) return pooled_dims(k, in, shape, out);
  if (in[1] != g->in_channels)
    return refuse(k, "its input has %d channels, its weight has %d", in[1], (int64_t)g->in_channels);
  int64_t in_elements = in[1], out_elements = g->out_channels;
  *shape = (ce_shape){in[0], 1, 1};
  out[0] = in[0];
  out[1] = g->out_channels;
  if (k->op->rank == 4) {
    if (in[2] < 1 || in[3] < 1) return refuse(k, "its input of %d by %d pixels is empty", in[2], in[3]);
    if (in[2] > MAX_ELEMENTS || in[3] > MAX_ELEMENTS) return refuse(k, "its input is larger than 2^31 pixels");
    shape->h = in[2];
    shape->w = in[3];
    ce_conv_output(g, *shape, &out[2], &out[3]);
    if (out[2] < 1 || out[3] < 1)
      return refuse(k, "its kernel does not fit into an input of %d by %d pixels", in[2], in[3]);
    const int64_t factors[2][2] = {{in[2], in[3]}, {out[2], out[3]}};
    for (int i = 0; i < 2; i++) {
      /* Every product stays below 2^63: a factor below 2^32 and a product below 2^31. */
      in_elements = in_elements > MAX_ELEMENTS ? in_elements : in_elements * factors[0][i];
      out_elements = out_elements > MAX_ELEMENTS ? out_elements : out_elements * factors[1][i];
    }
  }
  if (in_elements > MAX_ELEMENTS || out_elements > MAX_ELEMENTS)
    return refuse(k, "one sample of its input or output has more than %d elements", (int64_t)MAX_ELEMENTS);
  if (in[0] > MAX_ELEMENTS || in[0] * in_elements > MAX_ELEMENTS || in[0] * out_elements > MAX_ELEMENTS)
    return refuse(k, "a batch of %d has more than %d elements", in[0], (int64_t)MAX_ELEMENTS);
  return NULL;
}

/* From the dimensions of X to those of Y. */
static OrtStatus* output_dims(const kernel* k, const int64_t in[4], ce_shape* shape, int64_t out[4]) {
  OrtStatus* status = layer_dims(k, &k->geometries[0], in, shape, out);
  for (int i = 1; i < k->layers && !status; i++) {
    const int64_t between[4] = {out[0], out[1], out[2], out[3]};
    ce_shape ignored;
    status = layer_dims(k, &k->geometries[i], between, &ignored, out);
  }
  return status;
}

/* Where the residual is, once its shape is known to be that of Y. */
static OrtStatus* residual_data(const kernel* k, OrtKernelContext* context, const int64_t out[4], const float** data) {
  const OrtApi* api = k->api;
  const OrtValue* value = NULL;
  void* memory = NULL;
  int64_t dims[4];
  OrtStatus* status = ORT(api, KernelContext_GetInput)(context, (size_t)k->op->residual, &value);
  if (!status && !value) status = refuse(k, "its input residual is missing");
  if (!status) status = input_dims(k, value, dims);
  for (int i = 0; i < k->op->rank && !status; i++)
    if (dims[i] != out[i])
      status = refuse(k, "dimension %d of its residual is %d, that of its output is %d", (int64_t)i, dims[i], out[i]);
  if (!status) status = ORT(api, GetTensorMutableData)((OrtValue*)value, &memory);
  *data = memory;
  return status;
}

typedef struct job {
  const kernel* kernel;
  ce_run run;
} job;

static void run_task(void* user, size_t task) {
  const job* j = user;
  j->kernel->op->run(j->kernel->plan, &j->run, (int)task);
}

static OrtStatus* run(const kernel* k, OrtKernelContext* context, job* j) {
  scratch memory;
  OrtStatus* status = scratch_take(k->api, k->op->scratch_bytes(k->plan, j->run.shape, j->run.threads), &memory);
  if (status) return status;
  j->run.scratch = memory.memory;
  const int tasks = k->op->tasks(k->plan, j->run.shape, j->run.threads);
  if (tasks == 1)
    run_task(j, 0);
  else
    status = ORT(k->api, KernelContext_ParallelFor)(context, run_task, (size_t)tasks, 0, j);
  scratch_give(k->api, &memory);
  return status;
}

OrtStatus* kernel_compute(void* memory, OrtKernelContext* context) {
  const kernel* k = memory;
  const OrtApi* api = k->api;
  const OrtValue* x = NULL;
  OrtValue* y = NULL;
  void *x_data = NULL, *y_data = NULL;
  int64_t in[4], out[4];
  job j = {.kernel = k, .run = {.threads = k->settings->threads}};
  OrtStatus* status = ORT(api, KernelContext_GetInput)(context, 0, &x);
  if (!status && !x) status = refuse(k, "its input X is missing");
  if (!status) status = input_dims(k, x, in);
  if (!status) status = output_dims(k, in, &j.run.shape, out);
  if (!status && k->op->residual) status = residual_data(k, context, out, &j.run.residual);
  if (!status) status = ORT(api, KernelContext_GetOutput)(context, 0, out, (size_t)k->op->rank, &y);
  if (status || !y || in[0] == 0) return status; /* nobody wants the output, or it is empty */
  if (!status) status = ORT(api, GetTensorMutableData)((OrtValue*)x, &x_data);
  if (!status) status = ORT(api, GetTensorMutableData)(y, &y_data);
  if (status) return status;
  j.run.x = x_data;
  j.run.y = y_data;
  return run(k, context, &j);
}
