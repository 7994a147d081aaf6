/* The int8 kernels over a grid of shapes, for grid.c: every byte must be the reference's.
 *
 * Tile edges in pixels, in channels of both ends, strides, paddings, windows, dilations, sparsity 0 to 1, batches, dense weights
 * and both kinds of blocks, zero points at both ends, weights of -128, tables and sums behind convolutions. What lies around
 * pixels and channels is another garbage each time; 1 and 2, or 3 and 16 threads must give the same bytes. The reference's bytes are
 * summed up in a number for each op, which is to be the same on every processor. */
#ifndef CE_TESTS_Q_GRID_H
#define CE_TESTS_Q_GRID_H

#include "common/quantized.h"

/* Where programs are slow, each ISA takes one case of so many, another one than the next ISA. */
#ifndef Q_SHARE
#define Q_SHARE 1
#endif

#define Q_OPS(X) X(q_conv) X(q_depthwise_conv) X(q_gemm) X(q_add) X(q_mul) X(q_global_average_pool) X(q_max_pool) X(q_table) \
  X(q_quantize) X(q_dequantize)
#define Q_NUMBER(op) Q_##op,
enum q_op { Q_OPS(Q_NUMBER) Q_COUNT };
#define Q_NAME(op) #op,
static const char *const Q_NAMES[] = {Q_OPS(Q_NAME)};
static int q_taken[Q_COUNT];
static uint64_t q_hash[Q_COUNT];

typedef struct q_case {
  enum q_op op;
  int n, in, out, h, w, kernel, stride, pad, dilation, block, add, table, to_float, extreme;
  float sparsity;
} q_case;

typedef struct q_problem {
  q_case c;
  ce_shape shape, out;
  ce_conv_geometry g;
  int8_t *values;
  int32_t *col_idx, *row_ptr, *bias;
  float *w_scale;
  uint8_t table[256];
  ce_q_grid x, y, second, sum;
  uint8_t *x_bytes, *second_bytes; /* as they are stored, without a flip */
  float *x_floats;
  size_t x_count, second_count, y_count; /* bytes of the layout, or floats */
  int float_x, float_y;
} q_problem;

static ce_q_grid q_random_grid(void) {
  static const int zeros[] = {0, 255, 128, 3, 200};
  const float scale = (1.0f + (float)(next_random() % 1024) / 1024.0f) / 16.0f;
  return (ce_q_grid){scale, zeros[next_random() % 5]};
}

static void q_make_weights(q_problem *p, int rows, int channels, int taps) {
  const q_case *c = &p->c;
  const int block = c->block, block_rows = block ? (rows + block - 1) / block : rows, groups = (channels + 3) / 4;
  const int lanes = block ? block * 4 : 1, cells = block ? groups * taps : channels * taps;
  p->values = need((size_t)block_rows * cells * lanes), p->col_idx = need((size_t)block_rows * cells * 4);
  p->row_ptr = need((size_t)(block_rows + 1) * 4), p->bias = need((size_t)rows * 4), p->w_scale = need((size_t)rows * 4);
  int nnz = 0;
  p->row_ptr[0] = 0;
  for (int row = 0; row < block_rows; ++row) {
    for (int cell = 0; cell < cells; ++cell) {
      const int kept = (float)next_random() / 16777216.0f >= c->sparsity;
      if (block && !kept) continue;
      for (int lane = 0; lane < lanes; ++lane) {
        const int there = !block || (cell / taps * 4 + lane % 4 < channels && row * block + lane / 4 < rows);
        const int value = c->extreme ? (c->extreme > 1 ? -128 : 127) : (int)(next_random() % 256) - 128;
        p->values[(size_t)nnz * lanes + lane] = (int8_t)(there && kept ? value : 0);
      }
      p->col_idx[nnz++] = cell;
    }
    p->row_ptr[row + 1] = nnz;
  }
  const float size = 74.0f * 20.0f * (float)(channels * taps > 64 ? channels * taps / 8 : 8) / (c->extreme ? 0.05f : 1.0f);
  for (int row = 0; row < rows; ++row) {
    p->bias[row] = (int32_t)(next_random() % 20001) - 10000;
    p->w_scale[row] = (float)(1 + next_random() % 4) / size * 16.0f;
  }
}

static q_problem q_make(const q_case *c) {
  q_problem p = {.c = *c, .shape = {c->n, c->h, c->w, c->in}};
  const int pooled = c->op == Q_q_global_average_pool, windowed = c->op <= Q_q_depthwise_conv || c->op == Q_q_max_pool;
  const int out = c->op == Q_q_conv || c->op == Q_q_gemm ? c->out : c->in;
  p.g = (ce_conv_geometry){out, c->in, c->kernel, c->kernel, c->stride, c->stride, c->pad, c->pad, c->pad, c->pad, c->dilation, c->dilation};
  p.out = (ce_shape){c->n, c->h, c->w, out};
  if (windowed) ce_conv_output(&p.g, p.shape, &p.out.h, &p.out.w);
  if (pooled) p.out.h = p.out.w = 1;
  if (c->op == Q_q_conv) q_make_weights(&p, out, c->in, c->kernel * c->kernel);
  if (c->op == Q_q_depthwise_conv) q_make_weights(&p, out, 1, c->kernel * c->kernel);
  if (c->op == Q_q_gemm) q_make_weights(&p, out, c->in, 1);
  for (int i = 0; i < 256; ++i) p.table[i] = (uint8_t)next_random();
  p.x = q_random_grid(), p.y = q_random_grid(), p.second = q_random_grid(), p.sum = q_random_grid();
  if (c->extreme) p.x.zero = c->extreme > 2 ? 255 : 0;
  p.float_x = c->op == Q_q_quantize, p.float_y = c->op == Q_q_dequantize || c->to_float;
  p.x_count = p.float_x ? (size_t)(c->n * c->in * c->h * c->w) : (size_t)ce_q_bytes(c->n, c->in, c->h, c->w);
  p.y_count = p.float_y ? (size_t)(c->n * out * p.out.h * p.out.w) : (size_t)ce_q_bytes(c->n, out, p.out.h, p.out.w);
  const int of_b = c->op == Q_q_mul;
  p.second_count = (size_t)ce_q_bytes(c->n, out, of_b ? 1 : p.out.h, of_b ? 1 : p.out.w);
  p.x_bytes = need(p.x_count), p.second_bytes = need(p.second_count), p.x_floats = need(p.x_count * 4);
  for (size_t i = 0; i < p.x_count; ++i) p.x_bytes[i] = c->extreme ? (c->extreme > 2 ? 0 : 255) : (uint8_t)(next_random() >> 8);
  for (size_t i = 0; i < p.second_count; ++i) p.second_bytes[i] = (uint8_t)(next_random() >> 8);
  static const float odd[] = {NAN, INFINITY, -INFINITY, -0.0f, 1e-41f, 3e38f, -3e38f, 2.5f, 3.5f, -0.5f};
  for (size_t i = 0; p.float_x && i < p.x_count; ++i)
    p.x_floats[i] = next_random() % 16 ? signed_random() * p.y.scale * 300 : odd[next_random() % 10] * p.y.scale;
  return p;
}

static void q_destroy(q_problem p) {
  free(p.values), free(p.col_idx), free(p.row_ptr), free(p.bias), free(p.w_scale);
  free(p.x_bytes), free(p.second_bytes), free(p.x_floats);
}

/* The pixels of a tensor into what is garbage elsewhere. */
static void q_fill(uint8_t *to, const uint8_t *from, ce_shape s, unsigned garbage) {
  const int64_t groups = ce_q_groups(s.c), plane = ce_q_plane(s.h, s.w);
  memset(to, (int)(garbage * 77 + 1) & 255, (size_t)ce_q_bytes(s.n, s.c, s.h, s.w));
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t c = 0; c < s.c; ++c)
      for (int64_t i = 0; i < s.h * s.w; ++i) {
        const int64_t at = ce_q_at(groups, plane, n, c, i);
        to[at] = from[at] ^ CE_Q_FLIP;
      }
}

/* What is not a pixel becomes 0, and the flip is undone. */
static void q_clear(uint8_t *bytes, ce_shape s) {
  const int64_t groups = ce_q_groups(s.c), plane = ce_q_plane(s.h, s.w);
  for (int64_t i = 0; i < ce_q_bytes(s.n, s.c, s.h, s.w); ++i) {
    const int64_t channel = i / plane % groups * 4 + i % 4, pixel = i % plane / 4;
    bytes[i] = channel < s.c && pixel < s.h * s.w ? bytes[i] ^ CE_Q_FLIP : 0;
  }
}

/* The problem through the kernel of the highest ISA up to `isa`; returns the ISA it got. No threads: it is only asked. */
static int q_solve(const q_problem *p, int isa, int threads, int at, uint8_t *result) {
  const ce_dtypes types = {CE_DTYPE_int8, CE_DTYPE_int8};
  const q_case *c = &p->c;
  const ce_shape shape = p->shape;
  const ce_q_conv_desc conv = {types, p->g, p->x, p->y, c->block, p->values, p->col_idx, p->row_ptr, p->w_scale, p->bias,
                               c->table ? p->table : NULL, c->add, p->second, p->sum};
  const ce_q_gemm_desc gemm = {types, c->out, c->in, p->x, p->y, c->block, c->to_float, p->values, p->col_idx, p->row_ptr,
                               p->w_scale, p->bias};
  const ce_q_add_desc pair = {types, p->x, p->second, p->y};
  const ce_q_global_average_pool_desc mean = {types, p->x, p->y};
  const ce_q_max_pool_desc window = {types, p->g};
  const ce_q_table_desc table = {types, p->table};
  const ce_q_quantize_desc grid = {types, p->float_x ? p->y : p->x};
  const int end = at < 0 ? -1 : 0;
  array x = p->float_x ? guarded(p->x_count, at, 4) : guarded(p->x_count / 4, end, 64);
  array y = p->float_y ? guarded(p->y_count, at, 4) : guarded(p->y_count / 4, end, 64);
  array second = guarded(p->second_count / 4, end, 64);
  const int of_b = c->op == Q_q_mul;
  if (p->float_x) memcpy(x.data, p->x_floats, p->x_count * 4);
  else q_fill((uint8_t *)x.data, p->x_bytes, shape, (unsigned)threads);
  q_fill((uint8_t *)second.data, p->second_bytes, of_b ? (ce_shape){c->n, 1, 1, c->in} : p->out, (unsigned)threads + 3);
  const int reads = c->add || c->op == Q_q_add || of_b;
  int found = 0;
#define Q_RUN(op, desc)                                                                                                  \
  case Q_##op: {                                                                                                         \
    array plan = guarded((ce_##op##_plan_bytes(&desc, isa) + 3) / 4, end, 64);                                           \
    ce_##op##_plan_init(plan.data, &desc, isa);                                                                          \
    const int tasks = threads ? ce_##op##_tasks(plan.data, shape, threads) : 0;                                          \
    const size_t share = tasks ? ce_##op##_scratch_bytes(plan.data, shape, threads) / 4 / (size_t)tasks : 0;             \
    for (int turn = 0; turn < tasks; ++turn) {                                                                           \
      const int task = threads == 2 ? turn : tasks - 1 - turn;                                                           \
      array scratch = guarded(share * (size_t)(task + 1), end, 64);                                                      \
      const ce_run run = {shape, x.data, reads ? second.data : NULL, y.data, scratch.data, threads, NULL, NULL};         \
      ce_##op##_run(plan.data, &run, task);                                                                              \
      release(scratch);                                                                                                  \
    }                                                                                                                    \
    found = ce_##op##_plan_isa(plan.data);                                                                               \
    release(plan);                                                                                                       \
    break;                                                                                                               \
  }
  switch (c->op) {
    Q_RUN(q_conv, conv)
    Q_RUN(q_depthwise_conv, conv)
    Q_RUN(q_gemm, gemm)
    Q_RUN(q_add, pair)
    Q_RUN(q_mul, pair)
    Q_RUN(q_global_average_pool, mean)
    Q_RUN(q_max_pool, window)
    Q_RUN(q_table, table)
    Q_RUN(q_quantize, grid)
    Q_RUN(q_dequantize, grid)
    case Q_COUNT: break;
  }
  if (!p->float_y) q_clear((uint8_t *)y.data, c->op == Q_q_gemm ? (ce_shape){c->n, 1, 1, c->out} : p->out);
  memcpy(result, y.data, p->float_y ? p->y_count * 4 : p->y_count);
  release(x), release(y), release(second);
  return found;
}

static void q_check(const q_case *c, int isa) {
  static const int threads[] = {1, 2, 3, 16};
  q_problem p = q_make(c);
  const size_t bytes = p.float_y ? p.y_count * 4 : p.y_count;
  uint8_t *exact = need(bytes), *y = need(bytes);
  const int taken = q_solve(&p, isa, 0, -1, y) == isa; /* else it is checked where that other ISA is asked for */
  if (taken) q_solve(&p, CE_ISA_reference, 1, -1, exact);
  if (isa == CE_ISA_reference)
    for (size_t i = 0; i < bytes; ++i) q_hash[c->op] = (q_hash[c->op] ^ exact[i]) * 0x100000001b3u;
  /* Cases take turns, two by two: 1 and 2 threads, or 3 and 16. */
  static int turn = 0;
  const int first = turn++ / 2 % 2 * 2;
  for (int i = first; i < first + 2 && taken; ++i) {
    if (isa == CE_ISA_reference && i % 2 == 0) continue;
    q_solve(&p, isa, threads[i], i % 2 ? q_taken[c->op] % 4 : -1, y);
    q_taken[c->op] += i % 2;
    for (size_t at = 0; at < bytes; ++at)
      if (y[at] != exact[at]) {
        fprintf(stderr,
                "%s, isa %d: byte %zu is %d, not %d; %d threads, n %d, %d to %d channels, %dx%d, window %d, stride %d, pad %d, "
                "dilation %d, blocks of %d, sparsity %g, add %d, table %d, to float %d, extreme %d, zeros %d and %d\n",
                Q_NAMES[c->op], isa, at, y[at], exact[at], threads[i], c->n, c->in, c->out, c->h, c->w, c->kernel, c->stride, c->pad,
                c->dilation, c->block, c->sparsity, c->add, c->table, c->to_float, c->extreme, p.x.zero, p.y.zero);
        exit(1);
      }
  }
  free(exact), free(y), q_destroy(p);
}

static void run_q_grid(int isa) {
  static const int pixels[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 49, 63, 64, 65, 127, 129, 196, 257};
  static const int channels[] = {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64, 130};
  static const int sides[] = {1, 2, 3, 4, 7, 8, 9, 14, 16, 17, 28, 33};
  static const float sparsities[] = {0.0f, 0.5f, 0.9f, 1.0f};
  int turn = 0;
#define Q_CHECK(...)                                                                          \
  do {                                                                                        \
    q_case c = {__VA_ARGS__};                                                                 \
    int *const ones[] = {&c.n, &c.h, &c.w, &c.in, &c.out, &c.kernel, &c.stride, &c.dilation}; \
    for (int one = 0; one < COUNT(ones); ++one)                                               \
      if (!*ones[one]) *ones[one] = 1;                                                        \
    if (((unsigned)turn++ * 2654435761u >> 16) % Q_SHARE == (unsigned)isa % Q_SHARE) q_check(&c, isa); \
  } while (0)
  for (int i = 0; i < COUNT(pixels); ++i)
    for (int block = 0; block < 3; ++block) {
      Q_CHECK(.op = Q_q_conv, .in = 12, .out = 5, .w = pixels[i], .block = block, .sparsity = block ? 0.5f : 0);
      Q_CHECK(.op = Q_q_conv, .in = 5, .out = 9, .h = 2, .w = pixels[i], .block = block, .add = i % 3, .table = i % 3 == 0,
              .sparsity = sparsities[i % 4], .n = 1 + i % 2);
    }
  for (int i = 0; i < COUNT(channels); ++i)
    for (int block = 0; block < 3; ++block) {
      Q_CHECK(.op = Q_q_conv, .in = channels[i], .out = 6, .h = 3, .w = 5, .block = block, .sparsity = sparsities[turn % 4]);
      Q_CHECK(.op = Q_q_conv, .in = 7, .out = channels[i], .h = 3, .w = 6, .block = block, .sparsity = sparsities[turn % 4]);
      Q_CHECK(.op = Q_q_gemm, .in = channels[i], .out = 9, .block = block, .sparsity = sparsities[turn % 4], .to_float = i % 2, .n = 1 + i % 3);
      Q_CHECK(.op = Q_q_gemm, .in = 9, .out = channels[i], .block = block, .sparsity = sparsities[turn % 4], .to_float = (i + block) % 2);
    }
  /* Sums as large as they get for their channels, of either sign. */
  for (int extreme = 1; extreme <= 4; ++extreme)
    for (int block = 0; block < 3; ++block) {
      Q_CHECK(.op = Q_q_conv, .in = 515, .out = 5, .h = 3, .w = 7, .block = block, .extreme = extreme);
      Q_CHECK(.op = Q_q_conv, .in = 9, .out = 5, .h = 6, .w = 7, .kernel = 3, .pad = 1, .block = block, .extreme = extreme);
      Q_CHECK(.op = Q_q_gemm, .in = 515, .out = 5, .block = block, .extreme = extreme);
      Q_CHECK(.op = Q_q_depthwise_conv, .in = 5, .h = 6, .w = 7, .kernel = 3, .pad = 1, .extreme = extreme);
    }
  for (int i = 0; i < COUNT(sides); ++i)
    for (int stride = 1; stride <= 3; ++stride)
      for (int kernel = 1; kernel <= 7; kernel += 2) {
        const int side = sides[i], other = sides[COUNT(sides) - 1 - i], pad = kernel / 2;
        if (kernel < 7 || i % 3 == 0)
          Q_CHECK(.op = Q_q_conv, .in = 6, .out = 5, .h = other, .w = side, .kernel = kernel, .stride = stride, .pad = pad,
                  .block = turn % 3, .sparsity = 0.6f, .n = 1 + (i == 3), .add = turn % 5 == 0);
        if (kernel > 1)
          Q_CHECK(.op = Q_q_depthwise_conv, .in = 5, .h = other, .w = side, .kernel = kernel, .stride = stride, .pad = pad,
                  .n = 1 + (i == 4), .add = turn % 3, .table = turn % 3 == 0);
        Q_CHECK(.op = Q_q_max_pool, .in = 5, .h = other + 6, .w = side + 6, .kernel = kernel, .stride = stride, .pad = pad);
      }
  for (int dilation = 1; dilation <= 3; ++dilation)
    for (int pad = 0; pad <= 2; ++pad) {
      Q_CHECK(.op = Q_q_conv, .in = 8, .out = 4, .h = 11, .w = 13, .kernel = 3, .pad = pad, .dilation = dilation, .block = pad);
      Q_CHECK(.op = Q_q_depthwise_conv, .in = 4, .h = 11, .w = 13, .kernel = 3, .pad = pad, .dilation = dilation);
    }
  /* Windows that no network has: larger than the image, whole in the padding, of more taps than a byte counts, far apart. */
  static const struct {
    int kernel, stride, pad, dilation, h, w;
  } odd[] = {{1, 1, 1, 1, 3, 5},  {1, 2, 3, 1, 4, 4},   {3, 1, 4, 1, 2, 3},   {3, 2, 7, 1, 1, 1},  {2, 1, 2, 3, 5, 4},
             {17, 3, 8, 1, 9, 20}, {11, 1, 5, 1, 2, 2},  {3, 20, 1, 1, 45, 50}, {1, 33, 0, 1, 40, 70}, {3, 1, 9, 9, 12, 7},
             {4, 4, 0, 1, 8, 20},  {6, 3, 2, 2, 23, 21}, {3, 17, 20, 5, 30, 9}, {5, 1, 2, 1, 300, 1}, {3, 1, 1, 1, 2, 500}};
  for (int i = 0; i < COUNT(odd); ++i)
    for (int block = 0; block < 3; ++block) {
      Q_CHECK(.op = Q_q_conv, .in = 7, .out = 6, .h = odd[i].h, .w = odd[i].w, .kernel = odd[i].kernel, .stride = odd[i].stride,
              .pad = odd[i].pad, .dilation = odd[i].dilation, .block = block, .sparsity = 0.4f, .add = block);
      Q_CHECK(.op = Q_q_depthwise_conv, .in = 5 + block, .h = odd[i].h, .w = odd[i].w, .kernel = odd[i].kernel,
              .stride = odd[i].stride, .pad = odd[i].pad, .dilation = odd[i].dilation, .add = block);
      if (odd[i].pad < odd[i].kernel && odd[i].dilation == 1)
        Q_CHECK(.op = Q_q_max_pool, .in = 5 + block, .h = odd[i].h, .w = odd[i].w, .kernel = odd[i].kernel, .stride = odd[i].stride,
                .pad = odd[i].pad);
    }
  for (int i = 0; i < COUNT(pixels); ++i)
    for (int wide = 1; wide <= 9; wide += 2 + i % 2) {
      const int n = 1 + i % 2, h = 1 + i % 3;
      Q_CHECK(.op = Q_q_add, .in = wide, .w = pixels[i], .h = h, .n = n);
      Q_CHECK(.op = Q_q_mul, .in = wide, .w = pixels[i], .h = h, .n = n);
      Q_CHECK(.op = Q_q_global_average_pool, .in = wide, .w = pixels[i], .h = h, .n = n);
      Q_CHECK(.op = Q_q_table, .in = wide, .w = pixels[i], .h = h, .n = n);
      Q_CHECK(.op = Q_q_quantize, .in = wide, .w = pixels[i], .h = h, .n = n);
      Q_CHECK(.op = Q_q_dequantize, .in = wide, .w = pixels[i], .h = h, .n = n);
    }
}

#endif
