#include "inputs.h"

#include <stdio.h>
#include <stdlib.h>

static void fail(const char* what, const char* about) {
  fprintf(stderr, "runner: %s %s\n", what, about);
  exit(1);
}

/* By ONNX's number: float, uint8, int8, uint16, int16, int32, int64, string, bool, float16, double, uint32, uint64. */
static size_t size_of(int type) {
  static const size_t sizes[] = {0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8};
  const size_t size = type > 0 && type < (int)(sizeof sizes / sizeof *sizes) ? sizes[type] : 0;
  if (!size) fail("an input has a type that holds no numbers:", "give those of ONNX, such as 1 or 7");
  return size;
}

size_t elements_of(const int64_t* dims, int rank) {
  size_t elements = 1;
  for (int i = 0; i < rank; i++) {
    if (dims[i] && elements > (size_t)1 << 32) fail("the shape is too large for", "any input");
    elements *= (size_t)dims[i];
  }
  return elements;
}

inputs inputs_read(const arguments* a) {
  inputs in = {.a = a};
  FILE* file = fopen(a->input, "rb");
  if (!file) fail("cannot open", a->input);
  for (int i = 0; i < a->input_count; i++) {
    const input_shape* shape = &a->inputs[i];
    in.bytes[i] = elements_of(shape->dims, shape->rank) * size_of(shape->type);
    in.data[i] = malloc(in.bytes[i] + 1);
    if (!in.data[i]) fail("not enough memory for", a->input);
    if (fread(in.data[i], 1, in.bytes[i], file) != in.bytes[i])
      fail("the shape does not agree with the size of", a->input);
  }
  if (fgetc(file) != EOF) fail("the shape does not agree with the size of", a->input);
  fclose(file);
  return in;
}

void inputs_free(inputs* in) {
  for (int i = 0; i < in->a->input_count; i++) free(in->data[i]);
}
