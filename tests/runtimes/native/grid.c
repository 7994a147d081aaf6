/* Every kernel of this processor over a grid of shapes, against the reference kernels: sums in double.
 *
 * The grid is the one that testers of such kernels use: each edge of a tile in pixels, in input and in output channels,
 * strides, paddings, windows, clips, sparsity 0, 1/2 and 1, batches of 1 and 3. Every array lies between unreadable pages
 * and starts at every multiple of 4 bytes, one case after another; inputs are signed, some of them NaN, infinite, -0 or denormal; 1, 2 and
 * 3 threads must give the same bits, and so must those of a chain up to 16, which cut its images into other bands. |y - reference| <= (terms + 3) u (|W| |X| + |bias| + |residual|), and the right side
 * is what the reference makes of absolute values (Higham, Accuracy and Stability, section 4.2); an activation makes errors
 * grow by no more than 3/2, and adds 2^-21 of its value.
 *
 * The int8 kernels are in q_grid.h. Prints {"isa": {"op": cases that this ISA's kernel took, ...}, ..., "bytes": {"op": a number
 * that the int8 reference's bytes make, ...}}; on a failure says which case, and ends with status 1. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edge.h"

enum op { CSR_CONV, BLOCK_CSR_CONV, CSR_GEMM, NM_CONV, NM_GEMM, DEPTHWISE, DENSE, POOL, CHAIN, OPS };
static const char *const NAMES[] = {"csr_conv", "block_csr_conv", "csr_gemm", "nm_conv", "nm_gemm",
                                     "depthwise_conv", "dense_conv", "global_average_pool", "conv_chain"};
static int taken[OPS];

typedef struct grid_case {
  enum op op;
  int n, in, out, h, w, kernel, stride, pad, dilation, residual, special, activation, block, slots, group, half, rows;
  int before; /* channels of a chain's input where a sparse 1×1 stage, which makes `in` of them, is the first of its three */
  float sparsity, clip_min, clip_max;
} grid_case;

static unsigned state = 1;
static unsigned next_random(void) { return state = state * 1664525u + 1013904223u, state >> 8; }
static float signed_random(void) { return (float)next_random() / 8388608.0f - 1.0f; }

/* ---- arrays between unreadable pages ---- */

typedef struct array {
  float *data;
  void *map;
  size_t map_bytes, count;
} array;

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED /* every byte outside an array is then watched, and so are the stack and the constants */
#endif
#endif

/* `at` counts floats from the page before (at >= 0) or bytes of alignment at the end of the last page (at < 0). */
static array guarded(size_t count, int at, size_t alignment) {
#ifdef SANITIZED
  const size_t shift = at > 0 ? (size_t)at * 4 : 0;
  array kept = {.count = count};
  if (posix_memalign(&kept.map, alignment < 8 ? 8 : alignment, count * 4 + shift)) exit(2);
  kept.data = (float *)((char *)kept.map + shift);
  memset(kept.data, 0xff, count * 4);
  return kept;
#endif
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = count * 4 + (at > 0 ? (size_t)at * 4 : 0);
  const size_t room = (bytes / page + 1) * page;
  array a = {.map_bytes = room + 2 * page, .count = count};
  a.map = mmap(NULL, a.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (a.map == MAP_FAILED) exit(2);
  mprotect(a.map, page, PROT_NONE);
  mprotect((char *)a.map + page + room, page, PROT_NONE);
  char *first = (char *)a.map + page;
  a.data = (float *)(at >= 0 ? first + (size_t)at * 4 : first + (room - count * 4) / alignment * alignment);
  memset(a.data, 0xff, count * 4); /* NaN: what is read before it is written shows */
  return a;
}

static void release(array a) {
  if (a.map_bytes) munmap(a.map, a.map_bytes);
  else free(a.map);
}

/* ---- one problem ---- */

typedef struct problem {
  grid_case c;
  ce_conv_geometry g;
  int rows, columns, nnz; /* a block's values are one of the nnz: values [nnz, block] */
  float *values, *bias, *x, *residual;
  ce_conv_geometry window; /* of a chain's depthwise stage, before the sparse one that g is the geometry of */
  float *taps;             /* [in, kernel, kernel], then [in] biases */
  float *before;           /* [in, before], every second column of them, then [in] biases */
  int32_t *before_col_idx, *before_row_ptr;
  int32_t *col_idx, *row_ptr;
  uint8_t *index; /* of N:M weights, whose slots are the nnz: values [rows, groups, taps, slots] */
  size_t x_count, y_count;
} problem;

static void *need(size_t bytes) {
  void *memory = malloc(bytes + 1);
  if (!memory) exit(2);
  return memory;
}

/* Slots of every group of every row; the first row is full, the last one empty, whatever the share. */
static void make_nm(problem *p, int taps) {
  const grid_case *c = &p->c;
  const int groups = (c->in + c->group - 1) / c->group;
  const int bits = c->group > 8 ? 4 : c->group > 4 ? 3 : c->group > 2 ? 2 : 1;
  const size_t all = (size_t)c->out * groups * taps * c->slots, bytes = (all * bits + 7) / 8;
  p->values = need(all * 4), p->index = need(bytes), p->bias = need((size_t)c->out * 4);
  memset(p->index, 0, bytes);
  for (int i = 0; i < c->out; ++i) p->bias[i] = signed_random();
  for (int cell = 0; cell < c->out * groups * taps; ++cell) {
    const int row = cell / taps / groups, first = cell / taps % groups * c->group;
    const int there = c->in - first < c->group ? c->in - first : c->group;
    for (int i = 0, channel = 0; i < c->slots; ++i, ++channel) {
      /* as far as the rest still finds a place, within the channels that there are */
      const int most = (there < c->slots ? i + 1 : there - (c->slots - 1 - i)) - channel;
      channel += (int)(next_random() % (unsigned)most);
      const int kept = row == 0 || ((float)next_random() / 16777216.0f >= c->sparsity && row != c->out - 1);
      p->values[p->nnz] = kept && channel < there ? signed_random() : i % 2 ? -0.0f : 0.0f;
      for (int b = 0; b < bits; ++b) {
        const size_t bit = (size_t)p->nnz * bits + b;
        p->index[bit / 8] |= (uint8_t)((channel >> b & 1) << bit % 8);
      }
      ++p->nnz;
    }
  }
}

static problem make(const grid_case *c) {
  problem p = {.c = *c};
  const int depthwise = c->op == DEPTHWISE, taps = c->kernel * c->kernel;
  p.g = (ce_conv_geometry){c->out,    c->in,  c->kernel, c->kernel,   c->stride,  c->stride,
                           c->pad, c->pad, c->pad,    c->pad, c->dilation, c->dilation};
  if (c->op == CHAIN) {
    p.window = p.g;
    p.window.out_channels = c->in;
    p.g = (ce_conv_geometry){c->out, c->in, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1};
  }
  p.taps = need((size_t)(c->in * (taps + 1)) * 4);
  for (int i = 0; i < c->in * (taps + 1); ++i) p.taps[i] = signed_random();
  const int kept = (c->before + 1) / 2; /* of a row of the first stage */
  p.before = need((size_t)c->in * (kept + 1) * 4), p.before_col_idx = need((size_t)c->in * kept * 4);
  p.before_row_ptr = need((size_t)(c->in + 1) * 4);
  for (int i = 0; i < c->in * (kept + 1); ++i) p.before[i] = signed_random();
  for (int i = 0; i < c->in * kept; ++i) p.before_col_idx[i] = i % kept * 2;
  for (int i = 0; i <= c->in; ++i) p.before_row_ptr[i] = i * kept;
  p.rows = c->out / c->block, p.columns = (depthwise ? 1 : c->in) * taps;
  int64_t oh = 1, ow = 1;
  if (c->op == POOL) p.columns = c->h * c->w;
  else if (c->op == CHAIN) p.columns = c->in, ce_conv_output(&p.window, (ce_shape){.n = c->n, .h = c->h, .w = c->w}, &oh, &ow);
  else if (c->op != CSR_GEMM && c->op != NM_GEMM) ce_conv_output(&p.g, (ce_shape){.n = c->n, .h = c->h, .w = c->w}, &oh, &ow);
  p.x_count = (size_t)c->n * (c->before ? c->before : c->in) * c->h * c->w, p.y_count = (size_t)(c->n * c->out * oh * ow);
  p.x = need(p.x_count * 4), p.residual = need(p.y_count * 4);
  const int packed = c->op == NM_CONV || c->op == NM_GEMM;
  if (packed) make_nm(&p, taps);
  else p.values = need((size_t)c->out * p.columns * 4), p.bias = need((size_t)c->out * 4);
  p.col_idx = need((size_t)p.rows * p.columns * 4), p.row_ptr = need((size_t)(p.rows + 1) * 4);
  p.row_ptr[0] = 0;
  for (int row = 0; row < p.rows && !packed; ++row) {
    for (int r = 0; r < c->block; ++r) p.bias[row * c->block + r] = signed_random();
    for (int column = 0; column < p.columns; ++column) {
      /* the first row is full, the last one empty, whatever the share */
      float value[4];
      const float drawn = (float)next_random() / 16777216.0f;
      for (int r = 0; r < c->block; ++r) value[r] = signed_random();
      if (c->half) value[0] = roundf(value[0] * 1024) / 1024; /* a float16 number */
      const int kept = row == 0 || (drawn >= c->sparsity && row != p.rows - 1);
      if ((c->op < NM_CONV || c->op == CHAIN) && !kept) continue;
      memcpy(p.values + (size_t)p.nnz * c->block, value, (size_t)c->block * 4);
      p.col_idx[p.nnz++] = column;
    }
    p.row_ptr[row + 1] = p.nnz;
  }
  for (size_t i = 0; i < p.x_count; ++i) p.x[i] = signed_random();
  for (size_t i = 0; i < p.y_count; ++i) p.residual[i] = signed_random();
  if (c->special) {
    static const float odd[] = {NAN, INFINITY, -INFINITY, -0.0f, 1e-41f, -1e-41f};
    /* A clip between two stages makes infinities finite, for which there is no bound. */
    for (size_t i = 0; i < 6; ++i)
      if (c->op != CHAIN || !isinf(odd[i])) p.x[next_random() % p.x_count] = odd[i];
  }
  return p;
}

static void destroy(problem p) {
  free(p.before), free(p.before_col_idx), free(p.before_row_ptr);
  free(p.taps), free(p.values), free(p.index), free(p.col_idx), free(p.row_ptr), free(p.bias), free(p.x), free(p.residual);
}

/* The problem through the kernel of the highest ISA up to `isa`; `at` places the arrays. Returns the ISA it got. */
static int solve(const problem *p, int isa, int threads, int at, float *result) {
  const ce_shape shape = {p->c.n, p->c.h, p->c.w, p->c.in};
  const float low = p->c.clip_min, high = p->c.clip_max;
  const int activation = p->c.activation;
  const ce_dtypes types = {p->c.half ? CE_DTYPE_float16 : CE_DTYPE_float32, CE_DTYPE_float32}, plain = {0, 0};
  const ce_csr_conv_desc conv = {types, p->g, low, high, p->values, p->col_idx, p->row_ptr, p->bias, activation};
  const ce_block_csr_conv_desc blocks = {conv, p->c.block};
  const ce_csr_gemm_desc gemm = {plain, p->rows, p->columns, low, high, p->values, p->col_idx, p->row_ptr, p->bias,
                                 activation, p->c.rows};
  const ce_nm_weight slots = {p->c.slots, p->c.group, p->values, p->index};
  const ce_nm_conv_desc nm_conv = {plain, p->g, low, high, slots, p->bias, activation};
  const ce_nm_gemm_desc nm_gemm = {plain, p->rows, p->columns, low, high, slots, p->bias, activation, p->c.rows};
  const ce_depthwise_conv_desc depthwise = {plain, p->g, low, high, p->values, p->bias, activation};
  const ce_dense_conv_desc dense = {plain, p->g, low, high, p->values, p->bias, activation};
  const ce_global_average_pool_desc pool = {plain};
  const float *after_taps = p->taps + p->c.in * p->c.kernel * p->c.kernel;
  const ce_depthwise_conv_desc before = {plain, p->window, low, high, p->taps, after_taps, CE_CLIP};
  const ce_conv_geometry point = {p->c.in, p->c.before, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1};
  const ce_csr_conv_desc first = {plain, point, low, high, p->before, p->before_col_idx, p->before_row_ptr,
                                  p->before + p->before_row_ptr[p->c.in], CE_CLIP};
  const ce_stage stages[3] = {{CE_STAGE_csr_conv, &first}, {CE_STAGE_depthwise_conv, &before}, {CE_STAGE_csr_conv, &conv}};
  ce_conv_chain_desc chain = {plain, p->c.before ? 3 : 2, isa, {{0}}};
  memcpy(chain.stages, stages + 3 - chain.count, (size_t)chain.count * sizeof *stages);
  array x = guarded(p->x_count, at, 4), y = guarded(p->y_count, at, 4), residual = guarded(p->y_count, at, 4);
  memcpy(x.data, p->x, p->x_count * 4);
  memcpy(residual.data, p->residual, p->y_count * 4);
  int found = 0;
#define RUN(op, desc)                                                                                       \
  do {                                                                                                      \
    array plan = guarded((ce_##op##_plan_bytes(&desc, isa) + 3) / 4, at < 0 ? -1 : 0, 64);                       \
    ce_##op##_plan_init(plan.data, &desc, isa);                                                                  \
    const int tasks = ce_##op##_tasks(plan.data, shape, threads);                                           \
    const size_t share = ce_##op##_scratch_bytes(plan.data, shape, threads) / 4 / (size_t)tasks;            \
    for (int task = tasks - 1; task >= 0; --task) { /* the scratch of later tasks is not there */           \
      array scratch = guarded(share * (size_t)(task + 1), at < 0 ? -1 : 0, 64);                             \
      const ce_run run = {shape, x.data, p->c.residual ? residual.data : NULL, y.data, scratch.data, threads, NULL, NULL}; \
      ce_##op##_run(plan.data, &run, task);                                                                 \
      release(scratch);                                                                                     \
    }                                                                                                       \
    found = ce_##op##_plan_isa(plan.data);                                                                  \
    release(plan);                                                                                          \
  } while (0)
  switch (p->c.op) {
    case CSR_CONV: RUN(csr_conv, conv); break;
    case BLOCK_CSR_CONV: RUN(block_csr_conv, blocks); break;
    case CSR_GEMM: RUN(csr_gemm, gemm); break;
    case NM_CONV: RUN(nm_conv, nm_conv); break;
    case NM_GEMM: RUN(nm_gemm, nm_gemm); break;
    case DEPTHWISE: RUN(depthwise_conv, depthwise); break;
    case DENSE: RUN(dense_conv, dense); break;
    case POOL: RUN(global_average_pool, pool); break;
    case CHAIN: RUN(conv_chain, chain); break;
    case OPS: break;
  }
  memcpy(result, y.data, p->y_count * 4);
  release(x), release(y), release(residual);
  return found;
}

/* ---- what it is held against ---- */

static void absolute(problem *p) {
  p->c.clip_min = -INFINITY, p->c.clip_max = INFINITY, p->c.activation = CE_CLIP;
  for (int i = 0; i < p->nnz * p->c.block; ++i) p->values[i] = fabsf(p->values[i]);
  for (int i = 0; i < p->c.out; ++i) p->bias[i] = fabsf(p->bias[i]);
  for (int i = 0; i < p->c.in * (p->c.kernel * p->c.kernel + 1); ++i) p->taps[i] = fabsf(p->taps[i]);
  for (int i = 0; i < p->c.in * ((p->c.before + 1) / 2 + 1); ++i) p->before[i] = fabsf(p->before[i]);
  for (size_t i = 0; i < p->x_count; ++i) p->x[i] = fabsf(p->x[i]);
  for (size_t i = 0; i < p->y_count; ++i) p->residual[i] = fabsf(p->residual[i]);
}

static int is_close(float y, float exact, float size, int terms, int activation, int of_half) {
  if (isnan(exact) || isnan(y)) return isnan(exact) && isnan(y);
  if (isinf(size) || isnan(size)) return y == exact;
  double bound = 1.01 * (terms + 3) * 0x1p-24 * size + 1e-37 * (terms + 1);
  /* sparse_conv/element.h; what is too small for float16 is off by at most 2^-25, an input as well as a sum */
  if (of_half) bound += 1.05 * (of_half + 3) * 0x1p-11 * size + (2 * terms + 1) * 0x1p-25;
  return fabs((double)y - exact) <= (activation == CE_CLIP ? bound : 1.5 * bound + 0x1p-21 * fabs(exact));
}

static void check(const grid_case *c, int isa) {
  problem p = make(c);
  float *exact = need(p.y_count * 4), *size = need(p.y_count * 4), *first = need(p.y_count * 4);
  float *y = need(p.y_count * 4);
  for (int i = 0; i < (c->op == CHAIN ? 7 : 3); ++i) {
    const int place = i % 2 ? (i / 2 + taken[c->op]) % 4 : -1; /* the next case begins at the next multiple of 4 bytes */
    const int found = solve(&p, isa, i < 3 ? 1 + i : 4 + (i + 5 * taken[CHAIN]) % 13, place, y);
    /* Another instruction set's kernel is checked where that one is asked for. */
    if (i == 0 && found != isa) goto done;
    taken[c->op] += i == 0;
    if (i == 0) memcpy(first, y, p.y_count * 4);
    if (memcmp(first, y, p.y_count * 4)) {
      fprintf(stderr, "threads or alignment change bits: ");
      goto failed;
    }
  }
  solve(&p, CE_ISA_reference, 1, -1, exact);
  absolute(&p);
  /* The error of a first stage is multiplied by the absolute weights of the second: the terms add up. */
  const int terms = p.columns + (c->op == CHAIN ? c->kernel * c->kernel + 3 + c->before + 3 : 0);
  const int of_tile = c->kernel > 1 ? 32 * c->kernel * c->kernel : 128, of_half = p.columns < of_tile ? p.columns : of_tile;
  solve(&p, CE_ISA_reference, 1, -1, size);
  for (size_t i = 0; i < p.y_count; ++i)
    if (!is_close(y[i], exact[i], size[i], terms, c->activation, c->half ? of_half : 0)) {
      fprintf(stderr, "output %zu is %g, not %g (of terms of size %g): ", i, y[i], exact[i], size[i]);
      goto failed;
    }
done:
  free(exact), free(size), free(first), free(y), destroy(p);
  return;
failed:
  fprintf(stderr, "%s, isa %d, n %d, %d to %d channels, %dx%d, window %d, stride %d, pad %d, dilation %d, sparsity %g, activation %d, blocks of %d, %d:%d, half %d, before %d, rows %d\n",
          NAMES[c->op], isa, c->n, c->in, c->out, c->h, c->w, c->kernel, c->stride, c->pad, c->dilation, c->sparsity,
          c->activation, c->block, c->slots, c->group, c->half, c->before, c->rows);
  exit(1);
}

static void run_grid(int isa) {
  static const int pixels[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 49, 63, 64, 65, 127, 129, 196, 257};
  static const int channels[] = {1, 2, 31, 33, 64, 127, 129, 257};
  static const int sides[] = {1, 3, 4, 7, 8, 14, 17, 28, 34};
  static const struct {
    int before, in, h, w;
  } chains[] = {{0, 128, 20, 20}, {0, 130, 13, 33}, {0, 24, 139, 19}, {0, 6, 352, 18},  {0, 5, 4, 352},   {0, 3, 352, 1},
                {0, 3, 1, 352},   {0, 40, 55, 21},  {0, 16, 69, 24},  {0, 128, 7, 17},  {0, 9, 200, 20},
                {3, 33, 64, 18},  {2, 9, 31, 5},    {4, 96, 40, 66},  {3, 130, 9, 19},  {1, 7, 50, 34},
                {6, 12, 2, 129},  {2, 4, 17, 90}};
  static const float sparsities[] = {0.0f, 0.5f, 1.0f};
  static const struct {
    float low, high;
    int activation;
  } activations[] = {{-INFINITY, INFINITY, CE_CLIP}, {0, INFINITY, CE_CLIP}, {-INFINITY, INFINITY, CE_HARD_SWISH},
                     {0, 6, CE_CLIP}, {-INFINITY, INFINITY, CE_SILU}, {-0.25f, 0.25f, CE_CLIP}};
#define COUNT(list) ((int)(sizeof(list) / sizeof(list[0])))
  int turn = 0;
#define CHECK(...)                                                                           \
  do {                                                                                       \
    grid_case c = {__VA_ARGS__};                                                             \
    int *const ones[] = {&c.n, &c.h, &c.w, &c.kernel, &c.stride, &c.dilation, &c.block};     \
    for (int one = 0; one < COUNT(ones); ++one)                                              \
      if (!*ones[one]) *ones[one] = 1;                                                       \
    if (isa == CE_ISA_neon_fp16 ? !c.half : c.half && turn % 8) { ++turn; break; }           \
    c.clip_min = activations[turn % COUNT(activations)].low;                                 \
    c.clip_max = activations[turn % COUNT(activations)].high;                                \
    c.activation = activations[turn++ % COUNT(activations)].activation;                      \
    check(&c, isa);                                                                          \
  } while (0)
  for (int i = 0; i < COUNT(pixels); ++i)
    CHECK(.op = CSR_CONV, .in = 20, .out = 6, .w = pixels[i], .sparsity = 0.5f, .residual = i & 1, .special = i % 3 == 2);
  for (int i = 0; i < COUNT(pixels); ++i)
    CHECK(.op = BLOCK_CSR_CONV, .block = 2 + 2 * (i & 1), .in = 20, .out = 12, .w = pixels[i], .sparsity = 0.5f,
          .residual = i & 2, .special = i % 3 == 2);
  for (int i = 0; i < COUNT(pixels); ++i)
    CHECK(.op = CSR_CONV, .half = 1, .in = 20, .out = 6, .w = pixels[i], .sparsity = 0.5f, .residual = i & 1,
          .special = i % 3 == 2);
  for (int i = 0; i < COUNT(channels); ++i)
    for (int s = 0; s < 3; ++s) {
      CHECK(.op = CSR_CONV, .half = 1, .in = channels[i], .out = 9, .h = 3, .w = 3, .sparsity = sparsities[s], .n = 1 + s);
      CHECK(.op = CSR_CONV, .half = 1, .in = 9, .out = channels[i], .h = 2, .w = 5, .sparsity = sparsities[s]);
    }
  for (int i = 0; i < COUNT(sides); ++i)
    for (int stride = 1; stride <= 3; ++stride)
      for (int kernel = 1; kernel <= 5; kernel += 2)
        CHECK(.op = CSR_CONV, .half = 1, .in = 34, .out = 3, .h = sides[COUNT(sides) - 1 - i], .w = sides[i],
              .kernel = kernel, .stride = stride, .pad = kernel / 2, .sparsity = 0.8f, .residual = 1, .special = i == 4,
              .dilation = 1 + (i == 5));
  for (int i = 0; i < COUNT(pixels); ++i)
    CHECK(.op = NM_CONV, .slots = 2, .group = 4, .in = 22, .out = 6, .w = pixels[i], .residual = i & 1, .special = i % 3 == 2);
  /* Every group size, with one slot, half of the channels, and all but one; the last group whole, partial, and of one. */
  for (int m = 2; m <= 16; ++m) {
    CHECK(.op = NM_CONV, .slots = 1, .group = m, .in = 130 + m, .out = 9, .h = 3, .w = 3, .sparsity = sparsities[m % 3]);
    CHECK(.op = NM_CONV, .slots = m / 2, .group = m, .in = 33 + m % 3, .out = 5, .h = 9, .w = 6, .kernel = 3,
          .stride = 1 + m % 2, .pad = 1, .sparsity = 0.3f, .residual = m & 1, .n = m == 5 ? 3 : 1);
    CHECK(.op = NM_GEMM, .slots = m - 1, .group = m, .in = 3 * m + 1, .out = 19, .sparsity = sparsities[m % 3]);
    CHECK(.op = NM_GEMM, .slots = (m + 1) / 2, .group = m, .in = 40, .out = 2 * m, .n = 3, .special = m % 4 == 0);
  }
  for (int i = 0; i < COUNT(channels); ++i) {
    CHECK(.op = NM_CONV, .slots = 1, .group = 4, .in = channels[i], .out = 9, .h = 3, .w = 3, .n = i == 1 ? 3 : 1);
    CHECK(.op = NM_CONV, .slots = 2, .group = 4, .in = 9, .out = channels[i], .h = 2, .w = 5, .residual = 1);
    CHECK(.op = NM_GEMM, .slots = 2, .group = 4, .in = channels[i], .out = 9);
    CHECK(.op = NM_GEMM, .slots = 2, .group = 4, .in = 9, .out = channels[i], .special = 1);
  }
  for (int i = 0; i < COUNT(channels); ++i)
    for (int s = 0; s < 3; ++s) {
      CHECK(.op = BLOCK_CSR_CONV, .block = 2, .in = 2 * channels[i], .out = 6, .h = 3, .w = 3, .sparsity = sparsities[s]);
      CHECK(.op = BLOCK_CSR_CONV, .block = 4, .in = 2 * channels[i], .out = 8, .h = 3, .w = 3, .sparsity = sparsities[s],
            .n = s == 1 ? 3 : 1);
      CHECK(.op = BLOCK_CSR_CONV, .block = 4, .in = 9, .out = 4 * channels[i], .h = 2, .w = 5, .sparsity = sparsities[s],
            .residual = 1);
      CHECK(.op = CSR_CONV, .in = channels[i], .out = 9, .h = 3, .w = 3, .sparsity = sparsities[s], .n = s == 1 ? 3 : 1);
      CHECK(.op = CSR_CONV, .in = 9, .out = channels[i], .h = 2, .w = 5, .sparsity = sparsities[s], .residual = 1);
      CHECK(.op = CSR_GEMM, .in = channels[i], .out = 9, .sparsity = sparsities[s], .n = s == 1 ? 3 : 1);
      CHECK(.op = CSR_GEMM, .in = 9, .out = channels[i], .sparsity = sparsities[s], .special = s == 1);
    }
  /* Many rows of X at a time: tiles of rows, K tiles, output features beyond a vector; and fewer rows than were foreseen. */
  for (int i = 0; i < COUNT(pixels); ++i) {
    CHECK(.op = CSR_GEMM, .rows = 64, .n = pixels[i], .in = 20, .out = 6, .sparsity = 0.5f, .special = i % 3 == 2);
    CHECK(.op = NM_GEMM, .rows = 4, .slots = 2, .group = 4, .n = pixels[i], .in = 37, .out = 18, .special = i % 3 == 1);
  }
  for (int i = 0; i < COUNT(channels); ++i)
    for (int s = 0; s < 3; ++s) {
      CHECK(.op = CSR_GEMM, .rows = 9, .n = 9, .in = channels[i], .out = 9, .sparsity = sparsities[s]);
      CHECK(.op = CSR_GEMM, .rows = 70, .n = 70, .in = 130, .out = channels[i], .sparsity = sparsities[s], .special = s == 1);
      CHECK(.op = NM_GEMM, .rows = 33, .n = 33, .slots = 1 + s, .group = 4, .in = channels[i], .out = 258 - channels[i]);
    }
  for (int i = 0; i < COUNT(sides); ++i)
    for (int stride = 1; stride <= 3; ++stride) {
      const int side = sides[i], other = sides[COUNT(sides) - 1 - i];
      CHECK(.op = CSR_CONV, .in = 5, .out = 4, .h = side, .w = other, .stride = stride, .sparsity = 0.5f, .pad = stride - 1);
      for (int kernel = 3; kernel <= 5; kernel += 2) {
        CHECK(.op = CSR_CONV, .in = 34, .out = 3, .h = other, .w = side, .kernel = kernel, .stride = stride,
              .pad = kernel / 2, .sparsity = 0.8f, .n = 1 + 2 * (i == 2), .residual = 1, .special = i == 4);
        CHECK(.op = BLOCK_CSR_CONV, .block = stride == 2 ? 2 : 4, .in = 34, .out = 8, .h = other, .w = side,
              .kernel = kernel, .stride = stride, .pad = kernel / 2, .sparsity = 0.8f, .residual = 1, .special = i == 4);
        CHECK(.op = DEPTHWISE, .in = 5, .out = 5, .h = other, .w = side, .kernel = kernel, .stride = stride,
              .pad = kernel / 2, .n = 1 + 2 * (i == 3), .special = i == 4);
        CHECK(.op = DEPTHWISE, .in = 3, .out = 3, .h = side, .w = side, .kernel = kernel, .stride = stride,
              .pad = kernel / 2);
        CHECK(.op = CHAIN, .in = 6, .out = 5, .h = other, .w = side, .kernel = kernel, .stride = stride,
              .pad = kernel / 2, .sparsity = 0.5f, .n = 1 + 2 * (i == 3), .residual = i & 1, .special = i == 4);
        CHECK(.op = DENSE, .in = 3, .out = 1 + i, .h = other, .w = side, .kernel = kernel, .stride = stride,
              .pad = kernel / 2, .n = 1 + 2 * (i == 5), .special = i == 4);
      }
    }
  /* Rows longer than a tile, of which each tile has the part that it reads: signals, and images as wide. */
  for (int kernel = 2; kernel <= 5; ++kernel)
    for (int stride = 1; stride <= 3; ++stride) {
      CHECK(.op = CSR_CONV, .in = 18, .out = 3, .h = kernel, .w = 263 * stride - kernel, .kernel = kernel, .stride = stride,
            .pad = kernel / 2, .sparsity = 0.6f, .residual = 1, .special = kernel == 3, .dilation = 1 + (kernel == 2));
      CHECK(.op = BLOCK_CSR_CONV, .block = 2, .in = 5, .out = 4, .h = 3, .w = 131 * stride, .kernel = kernel, .stride = stride,
            .pad = kernel - 1, .sparsity = 0.5f, .n = 2);
    }
  /* A depthwise stage feeds the sparse one strips of rows, of which bands of all lengths are cut into others than the image. */
  for (int i = 0; i < COUNT(chains); ++i)
    CHECK(.op = CHAIN, .before = chains[i].before, .in = chains[i].in, .out = 3 + 2 * (i % 3), .h = chains[i].h,
          .w = chains[i].w, .kernel = 3 + 2 * (i % 4 == 3), .pad = 1 + (i % 4 == 3), .stride = 1 + (i % 5 == 4),
          .sparsity = 0.6f, .residual = i & 1, .n = 1 + (i % 7 == 6), .special = i % 6 == 5);
  /* More than a band where caches are small. */
  CHECK(.op = CHAIN, .in = 16, .out = 9, .h = 40, .w = 100, .kernel = 3, .pad = 1, .sparsity = 0.8f);
  for (int dilation = 1; dilation <= 3; ++dilation) {
    CHECK(.op = CHAIN, .in = 4, .out = 4, .h = 11, .w = 13, .kernel = 3, .pad = 2, .dilation = dilation, .sparsity = 0.5f);
    CHECK(.op = CSR_CONV, .in = 6, .out = 4, .h = 11, .w = 13, .kernel = 3, .pad = 1, .dilation = dilation, .sparsity = 0.5f);
    CHECK(.op = DEPTHWISE, .in = 4, .out = 4, .h = 11, .w = 13, .kernel = 3, .pad = 1, .dilation = dilation);
    CHECK(.op = DENSE, .in = 2, .out = 4, .h = 11, .w = 13, .kernel = 3, .pad = 1, .dilation = dilation);
  }
  /* Rows shorter than a vector, of which a plane is one run. */
  for (int w = 1; w <= 15; ++w)
    for (int kernel = 3; kernel <= 5; kernel += 2)
      CHECK(.op = DEPTHWISE, .in = 5, .out = 5, .h = 1 + 67 / w, .w = w, .kernel = kernel, .pad = kernel / 2, .n = 1 + w % 2,
            .special = w % 4 == 3);
  for (int i = 0; i < COUNT(pixels); ++i) {
    CHECK(.op = POOL, .n = pixels[i], .in = 1, .out = 1, .h = 7, .w = 7, .special = i % 3 == 2);
    CHECK(.op = POOL, .n = 1 + i, .in = 1, .out = 1, .w = pixels[i]);
  }
}

#include "q_grid.h"

/* Arguments: names of ISAs to run; none for all that this processor has. */
int main(int count, char **names) {
  static const struct {
    const char *name;
    int isa;
  } isas[] = {
#define CE_LISTED_ISA(name, number) {#name, number},
#include "isas.inc"
#undef CE_LISTED_ISA
  };
  const char *separator = "";
  printf("{");
  for (int i = 0; i < COUNT(isas); ++i) {
    int wanted = count == 1;
    for (int arg = 1; arg < count; ++arg) wanted |= !strcmp(names[arg], isas[i].name);
    if (!wanted || !(ce_usable_isas() >> isas[i].isa & 1)) continue;
    state = 1;
    memset(taken, 0, sizeof taken);
    memset(q_taken, 0, sizeof q_taken);
    if (isas[i].isa) run_grid(isas[i].isa);
    state = 1;
    run_q_grid(isas[i].isa);
    printf("%s\"%s\": ", separator, isas[i].name);
    for (int op = 0; op < OPS; ++op) printf("%s\"%s\": %d", op ? ", " : "{", NAMES[op], taken[op]);
    for (int op = 0; op < Q_COUNT; ++op) printf(", \"%s\": %d", Q_NAMES[op], q_taken[op]);
    printf("}");
    separator = ", ";
  }
  printf("%s\"bytes\": {", separator);
  for (int op = 0; op < Q_COUNT; ++op) printf("%s\"%s\": \"%016llx\"", op ? ", " : "", Q_NAMES[op], (unsigned long long)q_hash[op]);
  printf("}}\n");
  return 0;
}
