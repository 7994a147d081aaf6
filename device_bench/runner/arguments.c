#include "arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void refuse(const char* sentence, const char* about) {
  fprintf(stderr, "runner: %s: %s\n", sentence, about);
  exit(2);
}

static long long number(const char* text, const char* name) {
  char* end;
  const long long value = strtoll(text, &end, 10);
  if (end == text || *end || value < 0 || value > 1 << 30) refuse("not a number in range", name);
  return value;
}

/* "1,3,224,224" */
static void read_dims(const char* text, arguments* out) {
  char* copy = strdup(text);
  for (char* part = strtok(copy, ","); part; part = strtok(NULL, ",")) {
    if (out->rank == MAX_RANK) refuse("too many dimensions", text);
    out->dims[out->rank++] = number(part, "--shape");
  }
  free(copy);
}

void arguments_read(int argc, char** argv, arguments* out) {
  *out = (arguments){.threads = "1", .runs = 1};
  for (int i = 1; i < argc; i += 2) {
    const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (!value) refuse("an option without its value", name);
    if (!strcmp(name, "--ort")) out->ort = value;
    else if (!strcmp(name, "--library")) out->library = value;
    else if (!strcmp(name, "--model")) out->model = value;
    else if (!strcmp(name, "--input")) out->input = value;
    else if (!strcmp(name, "--output")) out->output = value;
    else if (!strcmp(name, "--isa")) out->isa = value;
    else if (!strcmp(name, "--threads")) out->threads = value;
    else if (!strcmp(name, "--runs")) out->runs = (int)number(value, name);
    else if (!strcmp(name, "--shape")) read_dims(value, out);
    else refuse("unknown option", name);
  }
  if (!out->ort || !out->model || !out->input || !out->rank)
    refuse("these options are needed", "--ort --model --input --shape");
  number(out->threads, "--threads");
}
