#include "kernel.h"

#include "q_sequence.h"
#include "scratch.h"
#include "sequence.h"
#include "shared.h"

typedef struct kernel {
  label label; /* the first member: what sentences begin with */
  OrtAllocator* allocator;
  const op* op;
  int out_rank;
  const settings* settings;
  void* memory; /* the allocation that holds this struct and the stages */
  int count;
  stage* stages;        /* one, or those of a sequence */
  sequence_schedule* usual; /* of a sequence: the first that was made, for runs of the same dimensions */
  int usual_is_there;   /* 0: nobody has made one, 1: it is being written, 2: it will not change any more */
} kernel;

static OrtStatus* make(const OrtApi* api, const op* op, const settings* settings, OrtAllocator* allocator, int count,
                       kernel** out) {
  void *memory, *aligned;
  const size_t bytes = sizeof(kernel) + (size_t)count * sizeof(stage) + (op->stages ? 0 : sizeof(sequence_schedule));
  OrtStatus* status = allocate(api, allocator, bytes, &memory, &aligned);
  if (status) return status;
  kernel* k = aligned;
  stage* stages = (stage*)(k + 1);
  sequence_schedule* usual = op->stages ? NULL : (sequence_schedule*)(stages + count);
  *k = (kernel){{.api = api, .op = op->name, .stage = NO_VALUE}, allocator, op, op->rank, settings, memory, 0, stages, usual, 0};
  *out = k;
  return NULL;
}

/* Reads stage after stage; the kernel counts those that are complete. */
static int fill(node* n, const sequence_parts* parts, kernel* k) {
  for (int i = 0; i < parts->count; i++) {
    const sequence_part* part = &parts->parts[i];
    text suffix = {.length = 0};
    if (!k->op->stages) text_add(&suffix, "_%d", (int64_t)i);
    n->stage = suffix.chars;
    if (!stage_create(n, part->op, k->settings, k->allocator, &k->stages[i])) return 0;
    k->stages[i].source = part->source;
    k->stages[i].residual = part->residual;
    k->stages[i].index = k->op->stages ? NO_VALUE : i;
    k->count = i + 1;
    n->first += op_constants(part->op);
    n->stage = "";
  }
  return 1;
}

static int build(node* n, const op* op, const settings* settings, OrtAllocator* allocator, kernel** out) {
  sequence_parts parts = {.count = 1, .parts = {{op, 0, NO_VALUE}}};
  const int bytes = op->parts == q_stages;
  if (!op->stages && !sequence_read(n, op, &parts)) return 0;
  if (bytes && !q_sequence_check(n, &parts)) return 0;
  if (!node_input_count(n, op->stages ? (size_t)op->inputs : sequence_inputs(&parts))) return 0;
  if (!node_take_status(n, make(n->api, op, settings, allocator, parts.count, out))) return 0;
  kernel* k = *out;
  size_t size = sizeof k->label.name;
  OrtStatus* unnamed = ORT(n->api, KernelInfo_GetNodeName)(n->info, k->label.name, &size);
  if (unnamed) ORT(n->api, ReleaseStatus)(unnamed);
  if (!bytes) return fill(n, &parts, k);
  if (parts.parts[parts.count - 1].op->makes == VALUE_VECTOR) k->out_rank = 2;
  return q_sequence_create(n, &parts, settings, allocator, k->stages, &k->count);
}

OrtStatus* kernel_create(const op* op, const settings* settings, const OrtApi* api, const OrtKernelInfo* info,
                         void** out) {
  node n = {.api = api, .info = info, .op = op->name, .stage = ""};
  OrtAllocator* allocator = NULL;
  *out = NULL;
  OrtStatus* status = ORT(api, KernelInfoGetAllocator)(info, ORT_MEM_DEFAULT, &allocator);
  if (status) return status;
  kernel* k = NULL;
  if (build(&n, op, settings, allocator, &k)) *out = k;
  else if (k) kernel_destroy(k);
  else ORT(api, ReleaseAllocator)(allocator);
  for (int i = 0; *out && i < k->count; i++) plan_share(settings->runtime, info, &k->stages[i]);
  return n.status;
}

void kernel_destroy(void* memory) {
  kernel* k = memory;
  if (!k) return;
  const OrtApi* api = k->label.api;
  OrtAllocator* allocator = k->allocator;
  for (int i = 0; i < k->count; i++) {
    plan_unshare(k->settings->runtime, &k->stages[i]);
    release(api, allocator, k->stages[i].memory);
  }
  release(api, allocator, k->memory);
  ORT(api, ReleaseAllocator)(allocator);
}

static OrtStatus* check_input(const kernel* k, int type, size_t rank) {
  if (type != ORT_FLOAT) return refuse(&k->label, "its input must be float32");
  if (rank == (size_t)k->op->rank) return NULL;
  return refuse(&k->label, "its input has %d dimensions, %d are needed", (int64_t)rank, (int64_t)k->op->rank);
}

static OrtStatus* input_dims(const kernel* k, const OrtValue* x, int64_t dims[4]) {
  const OrtApi* api = k->label.api;
  OrtTensorTypeAndShapeInfo* shape = NULL;
  size_t rank = 0;
  int type = ORT_UNDEFINED;
  if (k->settings->runtime->shape_references) { /* no object is made */
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

/* Where the residual is, once its shape is known to be that of Y. */
static OrtStatus* residual_data(const kernel* k, OrtKernelContext* context, const int64_t out[4], const float** data) {
  const OrtApi* api = k->label.api;
  const OrtValue* value = NULL;
  void* memory = NULL;
  int64_t dims[4];
  OrtStatus* status = ORT(api, KernelContext_GetInput)(context, (size_t)k->op->residual, &value);
  if (!status && !value) status = refuse(&k->label, "its input residual is missing");
  if (!status) status = input_dims(k, value, dims);
  if (!status) status = check_residual(&k->label, &k->stages[0], dims, out);
  if (!status) status = ORT(api, GetTensorMutableData)((OrtValue*)value, &memory);
  *data = memory;
  return status;
}

typedef struct job {
  const stage* stage;
  ce_run run;
} job;

static void run_task(void* user, size_t task) {
  const job* j = user;
  j->stage->op->run(j->stage->plan, &j->run, (int)task);
}

/* `tasks` calls of fn(user, task), by ONNX Runtime's threads where there are several. */
static OrtStatus* run_tasks(const OrtApi* api, OrtKernelContext* context, void (*fn)(void*, size_t), int tasks, void* user) {
  if (tasks > 1) return ORT(api, KernelContext_ParallelFor)(context, fn, (size_t)tasks, 0, user);
  fn(user, 0);
  return NULL;
}

/* The data of X, and of Y, which has the dimensions `out`. No data: nobody wants the output, or it is empty. */
static OrtStatus* find_data(const kernel* k, OrtKernelContext* context, const OrtValue* x, const int64_t out[4],
                            const float** x_data, float** y_data) {
  const OrtApi* api = k->label.api;
  OrtValue* y = NULL;
  void *from = NULL, *to = NULL;
  *y_data = NULL;
  OrtStatus* status = ORT(api, KernelContext_GetOutput)(context, 0, out, (size_t)k->out_rank, &y);
  if (status || !y || out[0] == 0) return status;
  status = ORT(api, GetTensorMutableData)((OrtValue*)x, &from);
  if (!status) status = ORT(api, GetTensorMutableData)(y, &to);
  *x_data = from;
  *y_data = to;
  return status;
}

static OrtStatus* compute_one(const kernel* k, OrtKernelContext* context, const OrtValue* x, const int64_t in[4]) {
  const OrtApi* api = k->label.api;
  const stage* s = k->stages;
  int64_t out[4];
  job j = {.stage = s, .run = {.threads = k->settings->threads}};
  ce_run* run = &j.run;
  scratch memory;
  OrtStatus* status = stage_dims(&k->label, s, in, &run->shape, out);
  if (!status && k->op->residual) status = residual_data(k, context, out, &run->residual);
  if (!status) status = find_data(k, context, x, out, &run->x, &run->y);
  if (status || !run->y) return status;
  status = scratch_take(k->settings->runtime, s->op->scratch_bytes(s->plan, run->shape, run->threads), &memory);
  if (status) return status;
  run->scratch = memory.memory;
  status = run_tasks(api, context, run_task, s->op->tasks(s->plan, run->shape, run->threads), &j);
  scratch_give(k->settings->runtime, &memory);
  return status;
}

/* To work out where everything is takes microseconds: a network's input hardly ever changes its size. `own` is room for it. */
static OrtStatus* schedule(kernel* k, const int64_t in[4], sequence_schedule* own, const sequence_schedule** out) {
  if (__atomic_load_n(&k->usual_is_there, __ATOMIC_ACQUIRE) == 2) {
    const int64_t* dims = k->usual->dims[0];
    if (dims[0] == in[0] && dims[1] == in[1] && dims[2] == in[2] && dims[3] == in[3]) return *out = k->usual, NULL;
  }
  own->stages = k->stages, own->count = k->count, own->threads = k->settings->threads;
  for (int i = 0; i < 4; i++) own->dims[0][i] = in[i];
  *out = own;
  OrtStatus* status = sequence_make_schedule(&k->label, own);
  int nobody = 0;
  if (!status && __atomic_compare_exchange_n(&k->usual_is_there, &nobody, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
    *k->usual = *own;
    __atomic_store_n(&k->usual_is_there, 2, __ATOMIC_RELEASE);
  }
  return status;
}

static OrtStatus* compute_sequence(kernel* k, OrtKernelContext* context, const OrtValue* x, const int64_t in[4]) {
  const OrtApi* api = k->label.api;
  sequence_schedule own;
  sequence_run run;
  scratch memory;
  OrtStatus* status = schedule(k, in, &own, &run.schedule);
  if (!status) status = find_data(k, context, x, run.schedule->dims[run.schedule->count], &run.x, &run.y);
  if (status || !run.y) return status;
  status = scratch_take(k->settings->runtime, run.schedule->scratch_bytes, &memory);
  if (status) return status;
  run.scratch = memory.memory;
  sequence_begin(&run);
  status = run_tasks(api, context, sequence_work, run.schedule->workers, &run);
  scratch_give(k->settings->runtime, &memory);
  return status;
}

OrtStatus* kernel_compute(void* memory, OrtKernelContext* context) {
  kernel* k = memory;
  const OrtValue* x = NULL;
  int64_t in[4];
  OrtStatus* status = ORT(k->label.api, KernelContext_GetInput)(context, 0, &x);
  if (!status && !x) status = refuse(&k->label, "its input X is missing");
  if (!status) status = input_dims(k, x, in);
  if (status) return status;
  return k->op->stages ? compute_one(k, context, x, in) : compute_sequence(k, context, x, in);
}
