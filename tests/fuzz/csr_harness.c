/* Fuzzes the validation of CSR weights, and every kernel with what it accepts.
 *
 * One input of the fuzzer is one weight: a header of 16 bytes, weight_shape, values, col_idx and row_ptr (see
 * make_corpus.py). Each array is copied into memory of exactly its size, between guard pages or under AddressSanitizer, so
 * that a read outside it ends the process. What the validation accepts is planned and run on every instruction set, and
 * the result is held against a sum in double.
 *
 * Built with -fsanitize=fuzzer -DLIBFUZZER it is a libFuzzer target. Otherwise it is a program:
 *   csr_harness MUTATIONS SEED FILE…       runs the files, then that many mutations of them; prints what was accepted. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edge.h"
#include "ort/validate_csr.h"

#define MAX_ROWS 256
#define MAX_COLUMNS 4096
#define HEADER 16

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#else
#define UNDER_ASAN 0
#endif

static long accepted, refused;

/* ---- memory in which nothing lies beside an array ---- */

typedef struct block {
  void *data, *map;
  size_t map_bytes;
} block;

static block block_new(size_t bytes, size_t alignment) {
  block b = {0};
#if UNDER_ASAN
  if (posix_memalign(&b.data, alignment < sizeof(void*) ? sizeof(void*) : alignment, bytes)) abort();
#else
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  const size_t room = (bytes + page) / page * page;
  b.map_bytes = room + 2 * page;
  b.map = mmap(NULL, b.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (b.map == MAP_FAILED) abort();
  mprotect(b.map, page, PROT_NONE);
  mprotect((char*)b.map + page + room, page, PROT_NONE);
  b.data = (char*)b.map + page + (room - bytes) / alignment * alignment;
#endif
  memset(b.data, 0xff, bytes); /* as float a NaN: what is read before it is written shows */
  return b;
}

static block block_copy(const void* source, size_t bytes, size_t alignment) {
  block b = block_new(bytes, alignment);
  if (bytes) memcpy(b.data, source, bytes);
  return b;
}

static void block_free(block b) {
#if UNDER_ASAN
  free(b.data);
#else
  munmap(b.map, b.map_bytes);
#endif
}

/* ---- one weight ---- */

typedef struct weight {
  csr_arrays csr;
  csr_dims dims;
  const int32_t* columns;
  const float* bias;
  ce_conv_geometry geometry;
  ce_shape shape;
  int is_gemm;
} weight;

static void check(const weight* w, int isa, const float* x, const float* y, int64_t out_h, int64_t out_w) {
  const ce_conv_geometry* g = &w->geometry;
  for (int64_t row = 0; row < w->dims.rows; row++)
    for (int64_t oh = 0; oh < out_h; oh++)
      for (int64_t ow = 0; ow < out_w; ow++) {
        double sum = w->bias[row], size = fabs(sum);
        const int64_t blocks = w->csr.block_rows, own = row / blocks;
        for (int32_t i = w->csr.row_ptr[own]; i < w->csr.row_ptr[own + 1]; i++) {
          const float value = ((const float*)w->csr.values)[i * blocks + row % blocks];
          const int taps = g->kernel_h * g->kernel_w, c = w->columns[i] / taps, tap = w->columns[i] % taps;
          const int64_t h = oh * g->stride_h - g->pad_top + tap / g->kernel_w;
          const int64_t v = ow * g->stride_w - g->pad_left + tap % g->kernel_w;
          if (!isfinite(value)) size = INFINITY; /* times the zeros of the padding it is NaN, or left out */
          if (h < 0 || v < 0 || h >= w->shape.h || v >= w->shape.w) continue;
          const double product = (double)value * x[(c * w->shape.h + h) * w->shape.w + v];
          sum += product;
          size += fabs(product);
        }
        const double got = y[(row * out_h + oh) * out_w + ow];
        if (isfinite(size) && size < 1e30 && !(fabs(got - sum) <= 1e-4 * size + 1e-30)) {
          fprintf(stderr, "%s of %lld rows in blocks of %lld, %lld values, isa %d: row %lld (%d values), pixel %lld %lld: %g, not %g\n",
                  w->is_gemm ? "CsrGemm" : "CsrConv", (long long)w->dims.rows, (long long)blocks,
                  (long long)w->csr.n_values, isa, (long long)row, (int)(w->csr.row_ptr[own + 1] - w->csr.row_ptr[own]), (long long)oh, (long long)ow, got,
                  sum);
          abort();
        }
      }
}

#define RUN_OP(op, description)                                                          \
  do {                                                                                   \
    const ce_##op##_desc desc = description;                                             \
    block plan = block_new(ce_##op##_plan_bytes(&desc, isa), 64);                        \
    ce_##op##_plan_init(plan.data, &desc, isa);                                          \
    const size_t bytes = ce_##op##_scratch_bytes(plan.data, w->shape, threads);          \
    block scratch = block_new(bytes, 64);                                                \
    const ce_run run = {.shape = w->shape, .x = x, .y = y, .scratch = scratch.data, .threads = threads}; \
    const int tasks = ce_##op##_tasks(plan.data, w->shape, threads);                     \
    for (int task = tasks - 1; task >= 0; task--) ce_##op##_run(plan.data, &run, task);  \
    block_free(scratch);                                                                 \
    block_free(plan);                                                                    \
  } while (0)

static void run_everywhere(const weight* w) {
  int64_t out_h = 1, out_w = 1;
  if (!w->is_gemm) ce_conv_output(&w->geometry, w->shape, &out_h, &out_w);
  if (out_h < 1 || out_w < 1) return;
  const int64_t pixels = w->shape.h * w->shape.w, inputs = (w->is_gemm ? w->dims.columns : w->dims.shape[1]) * pixels;
  const int64_t outputs = w->dims.rows * out_h * out_w;
  block in = block_new((size_t)inputs * sizeof(float), sizeof(float));
  float* x = in.data;
  for (int64_t i = 0; i < inputs; i++) x[i] = (float)(i * 2654435761u % 2001) / 1000 - 1;
  for (int isa = 0, threads = 1; ce_usable_isas() >> isa; isa++, threads = 3 - threads) {
    if (!(ce_usable_isas() >> isa & 1)) continue;
    block out = block_new((size_t)outputs * sizeof(float), sizeof(float));
    float* y = out.data;
    const csr_arrays* c = &w->csr;
    if (w->is_gemm)
      RUN_OP(csr_gemm, ((ce_csr_gemm_desc){{0, 0}, (int32_t)w->dims.rows, (int32_t)w->dims.columns, -INFINITY, INFINITY,
                                           c->values, w->columns, c->row_ptr, w->bias}));
    else if (c->block_rows > 1)
      RUN_OP(block_csr_conv, ((ce_block_csr_conv_desc){{{0, 0}, w->geometry, -INFINITY, INFINITY, c->values, w->columns,
                                                        c->row_ptr, w->bias}, (int32_t)c->block_rows}));
    else
      RUN_OP(csr_conv, ((ce_csr_conv_desc){{0, 0}, w->geometry, -INFINITY, INFINITY, c->values, w->columns, c->row_ptr, w->bias}));
    check(w, isa, x, y, out_h, out_w);
    block_free(out);
  }
  block_free(in);
}

static void use(weight* w, const uint8_t* header) {
  if (w->dims.rows > MAX_ROWS || w->dims.columns > MAX_COLUMNS) return;
  static const uint8_t no_window[HEADER];
  if (w->is_gemm) header = no_window;
  w->geometry = (ce_conv_geometry){
      .out_channels = (int32_t)w->dims.rows,
      .in_channels = (int32_t)w->dims.shape[1],
      .kernel_h = (int32_t)w->dims.shape[2],
      .kernel_w = (int32_t)w->dims.shape[3],
      .stride_h = 1 + (header[3] & 3),
      .stride_w = 1 + (header[3] >> 2 & 3),
      .pad_top = header[4] & 3,
      .pad_left = header[4] >> 2 & 3,
      .pad_bottom = header[4] >> 4 & 3,
      .pad_right = header[4] >> 6,
      .dilation_h = 1,
      .dilation_w = 1,
  };
  w->shape = (ce_shape){.n = 1, .h = 1 + (header[5] & 15), .w = 1 + (header[5] >> 4)};
  block columns = block_new((size_t)w->csr.n_col_idx * sizeof(int32_t), sizeof(int32_t));
  for (int64_t i = 0; i < w->csr.n_col_idx; i++) ((int32_t*)columns.data)[i] = (int32_t)csr_column(&w->csr, i);
  w->columns = columns.data;
  run_everywhere(w);
  block_free(columns);
}

static uint16_t read_u16(const uint8_t* at) { return (uint16_t)(at[0] | at[1] << 8); }

/* The next array of the input: `wanted` elements, or as many as are left. */
static block take(const uint8_t** at, size_t* left, int64_t wanted, size_t element, int64_t* count) {
  const size_t most = *left / element;
  *count = (size_t)wanted < most ? wanted : (int64_t)most;
  const size_t bytes = (size_t)*count * element;
  block b = block_copy(*at, bytes, element & -element); /* aligned to what divides it */
  *at += bytes;
  *left -= bytes;
  return b;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < HEADER) return 0;
  const uint8_t* header = data;
  static const int widths[] = {1, 2, 4};
  weight w = {.is_gemm = header[0] & 1};
  csr_arrays* c = &w.csr;
  c->col_idx_bytes = widths[header[1] % 3];
  c->block_rows = w.is_gemm || !(header[0] >> 1 & 7) ? 1 : header[0] >> 1 & 7;
  data += HEADER, size -= HEADER;
  block shape = take(&data, &size, header[2] & 7, sizeof(int64_t), &c->n_weight_shape);
  block values = take(&data, &size, read_u16(header + 8), sizeof(float) * (size_t)c->block_rows, &c->n_values);
  block columns = take(&data, &size, read_u16(header + 10), (size_t)c->col_idx_bytes, &c->n_col_idx);
  block row_ptr = take(&data, &size, read_u16(header + 12), sizeof(int32_t), &c->n_row_ptr);
  c->n_bias = read_u16(header + 6);
  block bias = block_new((size_t)c->n_bias * sizeof(float), sizeof(float));
  for (int64_t i = 0; i < c->n_bias; i++) ((float*)bias.data)[i] = (float)(i % 7) - 3;
  c->weight_shape = shape.data;
  c->values = values.data;
  c->col_idx = columns.data;
  c->row_ptr = row_ptr.data;
  w.bias = bias.data;

  text why = {.length = 0};
  if (csr_validate(c, w.is_gemm ? 2 : 4, &w.dims, &why)) {
    accepted++;
    use(&w, header);
  } else {
    refused++;
    if (!why.length || why.length != strlen(why.chars)) abort(); /* a refusal says why */
  }
  block_free(shape), block_free(values), block_free(columns), block_free(row_ptr), block_free(bias);
  return 0;
}

/* ---- the program that needs no fuzzer ---- */

#ifndef LIBFUZZER
static uint64_t state;

static uint64_t next(uint64_t below) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (state >> 33) % below;
}

static void mutate(uint8_t* data, size_t* size) {
  static const int64_t odd[] = {0, 1, -1, 2, 4, 255, 256, 65535, 65536, INT32_MAX, INT32_MIN, (int64_t)1 << 32, INT64_MAX, INT64_MIN};
  static const size_t widths[] = {1, 2, 4, 8};
  const size_t at = next(*size), width = widths[next(4)];
  switch (next(5)) {
    case 0: data[at] ^= (uint8_t)(1u << next(8)); break;
    case 1: data[at] = (uint8_t)next(256); break;
    case 2: data[at] = (uint8_t)(data[at] + (next(2) ? 1 : 255)); break;
    case 3: *size = at + 1; break;
    default:
      if (at + width <= *size) memcpy(data + at, &odd[next(sizeof odd / sizeof odd[0])], width);
  }
}

typedef struct seed {
  uint8_t* data;
  size_t size;
} seed;

static seed read_seed(const char* path) {
  seed s = {malloc(1 << 16), 0};
  FILE* file = fopen(path, "rb");
  if (!file || !s.data) return fprintf(stderr, "cannot read %s\n", path), exit(2), s;
  s.size = fread(s.data, 1, 1 << 16, file);
  fclose(file);
  return s;
}

int main(int argc, char** argv) {
  if (argc < 4) return fprintf(stderr, "csr_harness MUTATIONS SEED FILE...\n"), 2;
  const int count = argc - 3;
  seed* seeds = calloc((size_t)count, sizeof *seeds);
  uint8_t* work = malloc(1 << 16);
  if (!seeds || !work) return 2;
  for (int i = 0; i < count; i++) {
    seeds[i] = read_seed(argv[i + 3]);
    LLVMFuzzerTestOneInput(seeds[i].data, seeds[i].size);
  }
  state = strtoull(argv[2], NULL, 10);
  for (long i = strtol(argv[1], NULL, 10); i > 0; i--) {
    const seed* s = &seeds[next((uint64_t)count)];
    size_t size = s->size;
    if (!size) continue;
    memcpy(work, s->data, size);
    for (uint64_t times = 1 + next(3); times > 0; times--) mutate(work, &size);
    LLVMFuzzerTestOneInput(work, size);
  }
  printf("{\"accepted\": %ld, \"refused\": %ld, \"isa\": %d}\n", accepted, refused, 31 - __builtin_clz(ce_usable_isas()));
  for (int i = 0; i < count; i++) free(seeds[i].data);
  free(seeds), free(work);
  return 0;
}
#endif
