#include "shared.h"

#define ALIGNMENT 64

OrtStatus* refuse(const label* who, const char* format, ...) {
  text sentence = {.length = 0};
  text_add(&sentence, "chita.edge %s \"%s\": ", who->op, who->name);
  if (who->stage != NO_VALUE) text_add(&sentence, "stage %d: ", (int64_t)who->stage);
  va_list arguments;
  va_start(arguments, format);
  text_add_list(&sentence, format, arguments);
  va_end(arguments);
  return ORT(who->api, CreateStatus)(ORT_INVALID_ARGUMENT, sentence.chars);
}

OrtStatus* allocate(const OrtApi* api, OrtAllocator* allocator, size_t bytes, void** memory, void** aligned) {
  *memory = NULL;
  if (bytes > SIZE_MAX / 2) return ORT(api, CreateStatus)(ORT_FAIL, "chita.edge: a size overflows");
  OrtStatus* status = ORT(api, AllocatorAlloc)(allocator, bytes + ALIGNMENT, memory);
  if (!status && !*memory) status = ORT(api, CreateStatus)(ORT_FAIL, "chita.edge: out of memory");
  *aligned = (void*)(((uintptr_t)*memory + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));
  return status;
}

void release(const OrtApi* api, OrtAllocator* allocator, void* memory) {
  OrtStatus* status = memory ? ORT(api, AllocatorFree)(allocator, memory) : NULL;
  if (status) ORT(api, ReleaseStatus)(status);
}

static OrtStatus* plan(const OrtApi* api, const op_source* source, stage* out) {
  void *memory, *aligned;
  out->bytes = out->op->plan_bytes(source);
  OrtStatus* status = allocate(api, source->allocator, out->bytes, &memory, &aligned);
  if (status) return status;
  if (out->bytes >= LEAST_SHARED) __builtin_memset(aligned, 0, out->bytes);
  out->memory = memory;
  out->plan = aligned;
  out->op->plan_init(aligned, source);
  return NULL;
}

int stage_plan(node* n, const op* op, const op_source* source, stage* out) {
  *out = (stage){.op = op, .layers = source->count};
  for (int i = 0; i < source->count; i++) out->geometries[i] = source->layers[i].geometry;
  return node_take_status(n, plan(n->api, source, out));
}

int stage_create(node* n, const op* op, const settings* settings, OrtAllocator* allocator, stage* out) {
  op_source source = {.allocator = allocator, .isa = settings->isa};
  const int well = op_read(n, op, &source) && stage_plan(n, op, &source, out);
  op_source_free(n, &source);
  return well;
}

/* Every channel of every image is a plane; one image's elements, and those of the batch, fit int32. */
static OrtStatus* pooled_dims(const label* who, const int64_t in[4], ce_shape* shape, int64_t out[4]) {
  int64_t elements = 1;
  for (int i = 3; i >= 0; i--) {
    if (in[i] < 1 && i > 0) return refuse(who, "dimension %d of its input is %d", (int64_t)i, in[i]);
    if (in[i] > MAX_ELEMENTS || (elements *= in[i]) > MAX_ELEMENTS)
      return refuse(who, "its input has more than %d elements", (int64_t)MAX_ELEMENTS);
    out[i] = i < 2 ? in[i] : 1;
  }
  *shape = (ce_shape){.n = in[0] * in[1], .h = in[2], .w = in[3]};
  return NULL;
}

OrtStatus* layer_dims(const label* who, const ce_conv_geometry* g, int rank, const int64_t in[4], ce_shape* shape,
                             int64_t out[4]) {
  if (!g->in_channels) return pooled_dims(who, in, shape, out);
  if (in[1] != g->in_channels)
    return refuse(who, "its input has %d channels, its weight has %d", in[1], (int64_t)g->in_channels);
  int64_t in_elements = in[1], out_elements = g->out_channels;
  *shape = (ce_shape){.n = in[0], .h = 1, .w = 1};
  out[0] = in[0];
  out[1] = g->out_channels;
  if (rank == 4) {
    if (in[2] < 1 || in[3] < 1) return refuse(who, "its input of %d by %d pixels is empty", in[2], in[3]);
    if (in[2] > MAX_ELEMENTS || in[3] > MAX_ELEMENTS) return refuse(who, "its input is larger than 2^31 pixels");
    shape->h = in[2];
    shape->w = in[3];
    ce_conv_output(g, *shape, &out[2], &out[3]);
    if (out[2] < 1 || out[3] < 1)
      return refuse(who, "its kernel does not fit into an input of %d by %d pixels", in[2], in[3]);
    const int64_t factors[2][2] = {{in[2], in[3]}, {out[2], out[3]}};
    for (int i = 0; i < 2; i++) {
      /* Every product stays below 2^63: a factor below 2^32 and a product below 2^31. */
      in_elements = in_elements > MAX_ELEMENTS ? in_elements : in_elements * factors[0][i];
      out_elements = out_elements > MAX_ELEMENTS ? out_elements : out_elements * factors[1][i];
    }
  }
  if (in_elements > MAX_ELEMENTS || out_elements > MAX_ELEMENTS)
    return refuse(who, "one sample of its input or output has more than %d elements", (int64_t)MAX_ELEMENTS);
  if (in[0] > MAX_ELEMENTS || in[0] * in_elements > MAX_ELEMENTS || in[0] * out_elements > MAX_ELEMENTS)
    return refuse(who, "a batch of %d has more than %d elements", in[0], (int64_t)MAX_ELEMENTS);
  return NULL;
}

OrtStatus* stage_dims(const label* who, const stage* s, const int64_t in[4], ce_shape* shape, int64_t out[4]) {
  OrtStatus* status = layer_dims(who, &s->geometries[0], s->op->rank, in, shape, out);
  for (int i = 1; i < s->layers && !status; i++) {
    const int64_t between[4] = {out[0], out[1], out[2], out[3]};
    ce_shape ignored;
    status = layer_dims(who, &s->geometries[i], s->op->rank, between, &ignored, out);
  }
  return status;
}

OrtStatus* check_residual(const label* who, const stage* s, const int64_t residual[4], const int64_t out[4]) {
  for (int i = 0; i < s->op->rank; i++)
    if (residual[i] != out[i])
      return refuse(who, "dimension %d of its residual is %d, that of its output is %d", (int64_t)i, residual[i], out[i]);
  return NULL;
}
