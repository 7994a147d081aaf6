#include "node.h"

#define MAX_STEP (1 << 15) /* of a stride, a dilation or a padding */

int node_take_status(node* n, OrtStatus* status) {
  if (!status) return 1;
  if (n->status) ORT(n->api, ReleaseStatus)(n->status);
  n->status = status;
  return 0;
}

static void discard(node* n, OrtStatus* status) {
  if (status) ORT(n->api, ReleaseStatus)(status);
}

int node_refuse(node* n, const char* format, ...) {
  char name[257];
  size_t size = sizeof name;
  OrtStatus* unnamed = ORT(n->api, KernelInfo_GetNodeName)(n->info, name, &size);
  text sentence = {.length = 0};
  text_add(&sentence, "chita.edge %s \"%s\": ", n->op, unnamed ? "(a name longer than 256 characters)" : name);
  if (n->stage[0]) text_add(&sentence, "stage %s: ", n->stage + 1);
  discard(n, unnamed);
  va_list arguments;
  va_start(arguments, format);
  text_add_list(&sentence, format, arguments);
  va_end(arguments);
  return node_take_status(n, ORT(n->api, CreateStatus)(ORT_INVALID_GRAPH, sentence.chars));
}

int node_input_count(node* n, size_t wanted) {
  size_t count = 0;
  if (!node_take_status(n, ORT(n->api, KernelInfo_GetInputCount)(n->info, &count))) return 0;
  if (count != wanted) return node_refuse(n, "it has %d inputs, %d are needed", (int64_t)count, (int64_t)wanted);
  return 1;
}

static const char* type_name(int type) {
  switch (type) {
    case ORT_FLOAT: return "float32";
    case ORT_INT32: return "int32";
    case ORT_INT64: return "int64";
    case ORT_UINT8: return "uint8";
    case ORT_INT8: return "int8";
    default: return "another type";
  }
}

static int read_shape(node* n, const char* name, const OrtTensorTypeAndShapeInfo* shape, constant* out) {
  size_t rank = 0;
  if (!node_take_status(n, ORT(n->api, GetTensorElementType)(shape, &out->type))) return 0;
  if (!node_take_status(n, ORT(n->api, GetDimensionsCount)(shape, &rank))) return 0;
  if (rank > 4) return node_refuse(n, "its input %s has %d dimensions, at most 4 are known", name, (int64_t)rank);
  out->rank = (int)rank;
  if (!node_take_status(n, ORT(n->api, GetDimensions)(shape, out->dims, rank))) return 0;
  out->elements = 1;
  for (size_t i = 0; i < rank; i++) {
    if (out->dims[i] < 0 || out->dims[i] > MAX_ELEMENTS)
      return node_refuse(n, "dimension %d of its input %s is %d", (int64_t)i, name, out->dims[i]);
    out->elements *= out->dims[i]; /* below 2^62: both factors are below 2^31 */
    if (out->elements > MAX_ELEMENTS)
      return node_refuse(n, "its input %s has more than %d elements", name, (int64_t)MAX_ELEMENTS);
  }
  return 1;
}

int node_constant(node* n, size_t index, const char* name, constant* out) {
  int is_constant = 0;
  const OrtValue* value = NULL;
  const size_t place = index + (size_t)n->first;
  OrtStatus* status = ORT(n->api, KernelInfoGetConstantInput_tensor)(n->info, place, &is_constant, &value);
  if (status || !is_constant || !value) {
    discard(n, status);
    return node_refuse(n, "its input %s must be a constant initializer", name);
  }
  OrtTensorTypeAndShapeInfo* shape = NULL;
  if (!node_take_status(n, ORT(n->api, GetTensorTypeAndShape)(value, &shape))) return 0;
  const int readable = read_shape(n, name, shape, out);
  ORT(n->api, ReleaseTensorTypeAndShapeInfo)(shape);
  if (!readable) return 0;
  void* data = NULL;
  if (!node_take_status(n, ORT(n->api, GetTensorMutableData)((OrtValue*)value, &data))) return 0;
  out->data = data;
  return 1;
}

int node_constant_of(node* n, size_t index, const char* name, int type, int rank, constant* out) {
  if (!node_constant(n, index, name, out)) return 0;
  if (out->type != type) return node_refuse(n, "its input %s must be %s", name, type_name(type));
  if (out->rank != rank)
    return node_refuse(n, "its input %s has %d dimensions, %d are needed", name, (int64_t)out->rank, (int64_t)rank);
  return 1;
}

/* ORT answers "missing" and "of another type" with the same error code; only asking for each type tells them apart. */
static int is_present(node* n, const char* name) {
  float number;
  int64_t integer;
  size_t strings = 0, floats = 0, integers = 0;
  OrtStatus* answers[5] = {
      ORT(n->api, KernelInfoGetAttribute_float)(n->info, name, &number),
      ORT(n->api, KernelInfoGetAttribute_int64)(n->info, name, &integer),
      ORT(n->api, KernelInfoGetAttribute_string)(n->info, name, NULL, &strings),
      ORT(n->api, KernelInfoGetAttributeArray_float)(n->info, name, NULL, &floats),
      ORT(n->api, KernelInfoGetAttributeArray_int64)(n->info, name, NULL, &integers),
  };
  int present = 0;
  for (int i = 0; i < 5; i++) {
    present |= !answers[i];
    discard(n, answers[i]);
  }
  return present;
}

/* An attribute's name in the file. */
static text in_file(const node* n, const char* name) {
  text full = {.length = 0};
  text_add(&full, "%s%s", name, n->stage);
  return full;
}

static int read_ints(node* n, const char* short_name, int64_t* out, size_t count, int64_t low) {
  const text full = in_file(n, short_name);
  const char* name = full.chars;
  size_t size = 0;
  OrtStatus* missing = ORT(n->api, KernelInfoGetAttributeArray_int64)(n->info, name, NULL, &size);
  if (missing) {
    discard(n, missing);
    if (is_present(n, name)) return node_refuse(n, "its attribute %s must be a list of integers", name);
    for (size_t i = 0; i < count; i++) out[i] = low; /* ONNX's own defaults: steps of 1, no padding */
    return 1;
  }
  if (size != count)
    return node_refuse(n, "its attribute %s has %d integers, %d are needed", name, (int64_t)size, (int64_t)count);
  if (!node_take_status(n, ORT(n->api, KernelInfoGetAttributeArray_int64)(n->info, name, out, &size))) return 0;
  for (size_t i = 0; i < count; i++)
    if (out[i] < low || out[i] > MAX_STEP)
      return node_refuse(n, "its attribute %s holds %d, outside %d to %d", name, out[i], low, (int64_t)MAX_STEP);
  return 1;
}

int node_window(node* n, window* out) {
  return read_ints(n, "strides", out->strides, 2, 1) && read_ints(n, "pads", out->pads, 4, 0) &&
         read_ints(n, "dilations", out->dilations, 2, 1);
}

int node_kernel(node* n, int64_t out[2]) {
  const text full = in_file(n, "kernel_shape");
  if (!is_present(n, full.chars)) return node_refuse(n, "it lacks the attribute %s", full.chars);
  return read_ints(n, "kernel_shape", out, 2, 1);
}

static int read_float(node* n, const char* short_name, float fallback, float* out) {
  const text full = in_file(n, short_name);
  const char* name = full.chars;
  OrtStatus* missing = ORT(n->api, KernelInfoGetAttribute_float)(n->info, name, out);
  if (!missing) return 1;
  discard(n, missing);
  if (is_present(n, name)) return node_refuse(n, "its attribute %s must be a float", name);
  *out = fallback;
  return 1;
}

int node_clip(node* n, clip* out) {
  if (!read_float(n, "clip_min", -__builtin_inff(), &out->low)) return 0;
  if (!read_float(n, "clip_max", __builtin_inff(), &out->high)) return 0;
  if (!(out->low <= out->high)) return node_refuse(n, "clip_min must not be above clip_max, and neither may be NaN");
  return 1;
}

int node_int(node* n, const char* short_name, int64_t* out) {
  const text full = in_file(n, short_name);
  OrtStatus* missing = ORT(n->api, KernelInfoGetAttribute_int64)(n->info, full.chars, out);
  if (!missing) return 1;
  discard(n, missing);
  return node_refuse(n, is_present(n, full.chars) ? "its attribute %s must be an integer" : "it lacks the attribute %s",
                     full.chars);
}

int node_text(node* n, const char* name, char* out, size_t size) {
  size_t length = 0;
  OrtStatus* missing = ORT(n->api, KernelInfoGetAttribute_string)(n->info, name, NULL, &length);
  if (missing) {
    discard(n, missing);
    return node_refuse(n, is_present(n, name) ? "its attribute %s must be a string" : "it lacks the attribute %s", name);
  }
  if (length > size) return node_refuse(n, "its attribute %s has more than %d characters", name, (int64_t)size - 1);
  return node_take_status(n, ORT(n->api, KernelInfoGetAttribute_string)(n->info, name, out, &length));
}

int node_count(node* n, const char* short_name, int32_t* out) {
  const text full = in_file(n, short_name);
  int64_t value = 0;
  OrtStatus* missing = ORT(n->api, KernelInfoGetAttribute_int64)(n->info, full.chars, &value);
  discard(n, missing);
  if (missing && is_present(n, full.chars)) return node_refuse(n, "its attribute %s must be an integer", full.chars);
  if (value < 0) return node_refuse(n, "its attribute %s is %d, which is negative", full.chars, value);
  *out = (int32_t)(value > INT32_MAX ? INT32_MAX : value);
  return 1;
}

int node_flag(node* n, const char* short_name, int* out) {
  const text full = in_file(n, short_name);
  int64_t value = 0;
  OrtStatus* missing = ORT(n->api, KernelInfoGetAttribute_int64)(n->info, full.chars, &value);
  discard(n, missing);
  if (missing && is_present(n, full.chars)) return node_refuse(n, "its attribute %s must be an integer", full.chars);
  if (value != 0 && value != 1) return node_refuse(n, "its attribute %s is %d, which is neither 0 nor 1", full.chars, value);
  *out = (int)value;
  return 1;
}
