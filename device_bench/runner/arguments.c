#include "arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* "dense=model.onnx"; a name is letters, digits and ._/- so that it can be printed as it is. */
static void read_model(char* text, int sparse, arguments* out) {
  char* path = strchr(text, '=');
  if (!path || path == text || path - text > 200) refuse("NAME=FILE is needed", text);
  if (out->model_count == MAX_MODELS) refuse("too many models", text);
  *path++ = 0;
  for (const char* c = text; *c; c++)
    if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-", *c)) refuse("not a name", text);
  out->models[out->model_count++] = (benched){text, path, sparse};
}

/* "1,3,224,224" of float32, or "7:1,128" with ONNX's number of another type; once for each input. */
static void read_shape(const char* text, arguments* out) {
  if (out->input_count == MAX_INPUTS) refuse("too many inputs", text);
  input_shape* shape = &out->inputs[out->input_count++];
  char* copy = strdup(text);
  char* dims = strchr(copy, ':');
  shape->type = 1;
  if (dims) {
    *dims++ = 0;
    shape->type = (int)number(copy, "--shape");
  }
  for (char* part = strtok(dims ? dims : copy, ","); part; part = strtok(NULL, ",")) {
    if (shape->rank == MAX_RANK) refuse("too many dimensions", text);
    shape->dims[shape->rank++] = number(part, "--shape");
  }
  free(copy);
}

void arguments_read(int argc, char** argv, arguments* out) {
  *out = (arguments){.threads = "1", .runs = 1, .samples = 60, .warmup_rounds = 200, .warmup_ms = 10000, .keep = 200000};
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
    else if (!strcmp(name, "--dense")) read_model(argv[i + 1], 0, out);
    else if (!strcmp(name, "--sparse")) read_model(argv[i + 1], 1, out);
    else if (!strcmp(name, "--samples")) out->samples = (int)number(value, name);
    else if (!strcmp(name, "--keep")) out->keep = (int)number(value, name);
    else if (!strcmp(name, "--warmup-rounds")) out->warmup_rounds = (int)number(value, name);
    else if (!strcmp(name, "--warmup-ms")) out->warmup_ms = (int)number(value, name);
    else if (!strcmp(name, "--duration-ms")) out->duration_ms = (int)number(value, name);
    else if (!strcmp(name, "--seed")) out->seed = (int)number(value, name);
    else if (!strcmp(name, "--abba")) out->abba = (int)number(value, name);
    else if (!strcmp(name, "--profile")) out->profile = (int)number(value, name);
    else if (!strcmp(name, "--cores")) out->cores = value;
    else if (!strcmp(name, "--time-limit-s")) alarm((unsigned)number(value, name));
    else if (!strcmp(name, "--runs")) out->runs = (int)number(value, name);
    else if (!strcmp(name, "--shape")) read_shape(value, out);
    else refuse("unknown option", name);
  }
  if (!out->ort || !(out->model || out->model_count) || !out->input || !out->input_count)
    refuse("these options are needed", "--ort --model (or --dense, --sparse) --input --shape");
  for (int i = 0; i < out->model_count; i++)
    if (out->models[i].sparse && !out->library) refuse("a sparse model needs --library", out->models[i].name);
  number(out->threads, "--threads");
  if (out->keep < 2) refuse("at least 2 are needed", "--keep");
}
