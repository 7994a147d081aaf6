/* The C interface of the kernels. No libc symbol is used behind it; it allocates nothing and keeps no state.
 *
 * Each op has a plan, made once from validated weights in memory that the caller allocates (64-byte aligned, and never
 * moved afterwards), and five functions:
 *
 *   plan_bytes(desc, isa)          size of the plan with the best kernel that needs no ISA above `isa`
 *   plan_init(plan, desc, isa)     copies all it needs from desc, whose pointers may be freed afterwards
 *   scratch_bytes(plan, shape, t)  size of the scratch (64-byte aligned, 0 is possible) for a run meant for t threads; that
 *                                  for 1 thread is enough for a band of any number of rows of the shape; each task has
 *                                  the same share of it, in their order, and touches no other
 *   tasks(plan, shape, t)          number of tasks such a run consists of, at least 1
 *   run(plan, run, task)           one of them; tasks of a run write disjoint parts of y and may run in parallel
 *
 * Every output is summed in an order that depends on plan and shape only: results are bit-identical for any t. The
 * kernels trust their arguments: whoever calls them has validated the weights and the shapes, and y overlaps nothing.
 * Tensors are float32, contiguous, aligned to 4 bytes; images are NCHW. NaN passes through every
 * activation. The ops q_… are of int8: what their tensors are stands with their descs, and a run's pointers are to those.
 */
#ifndef CE_EDGE_H
#define CE_EDGE_H

#include <stddef.h>
#include <stdint.h>

#define CE_EXPORT __attribute__((visibility("default")))

enum ce_isa {
#define CE_LISTED_ISA(name, number) CE_ISA_##name = number,
#include "isas.inc"
#undef CE_LISTED_ISA
  CE_ISA_best = 255
};

/* What follows the sum (and the residual). All but the clip need infinite clip_min and clip_max. */
enum ce_activation {
  CE_CLIP = 0,       /* min(max(x, clip_min), clip_max) */
  CE_HARD_SWISH = 1, /* x min(max(x / 6 + 1/2, 0), 1) */
  CE_SILU = 2,       /* x / (1 + exp(-x)) */
};

enum ce_dtype {
#define CE_LISTED_DTYPE(name, number, bytes, onnx) CE_DTYPE_##name = number,
#include "dtypes.inc"
#undef CE_LISTED_DTYPE
};

/* The first member of every desc; float32 where it is left out.
 *
 * compute: what a kernel may multiply and add in. With float16 the values are float16 numbers; inputs may be rounded to
 * float16, and sums of up to 128 input channels (32 where the window has more than a tap) be in float16, of which those of
 * the K tiles and the rest are added in float32. So may, not must: where there is no kernel of that type for this
 * processor, one in float32 does it. values: how the values of sparse weights are stored. Both are a CE_DTYPE_. */
typedef struct ce_dtypes {
  int32_t compute, values;
} ce_dtypes;

/* Dimensions of a convolution; all positive but the pads, which are not negative. */
typedef struct ce_conv_geometry {
  int32_t out_channels, in_channels;
  int32_t kernel_h, kernel_w, stride_h, stride_w;
  int32_t pad_top, pad_left, pad_bottom, pad_right;
  int32_t dilation_h, dilation_w;
} ce_conv_geometry;

/* values, col_idx [nnz], row_ptr [out_channels + 1], bias [out_channels]; a column is (in_channel, kh, kw), flat. */
typedef struct ce_csr_conv_desc {
  ce_dtypes dtypes;
  ce_conv_geometry geometry;
  float clip_min, clip_max;
  const void *values;
  const int32_t *col_idx;
  const int32_t *row_ptr;
  const float *bias;
  int32_t activation; /* a CE_ activation; 0, and thus the clip, where it is left out */
} ce_csr_conv_desc;

/* The same with a row of the CSR for each block of block_rows (2 or 4, which divides out_channels) output channels:
 * values [nnz, block_rows], col_idx [nnz], row_ptr [out_channels / block_rows + 1]. */
typedef struct ce_block_csr_conv_desc {
  ce_csr_conv_desc csr;
  int32_t block_rows;
} ce_block_csr_conv_desc;

/* Weights of which, at each tap, every m input channels that follow one another (a group; the last one may have fewer) hold
 * at most n: a slot is a value and a channel of its group, slots are [out_channels, groups, taps, n]. The channels are a
 * stream of bits, the lowest of a byte first: slot i has the bits i * b to i * b + b - 1, b as few as hold m - 1. A slot of
 * value 0 is empty, and only such a slot may name a channel that there is not. */
typedef struct ce_nm_weight {
  int32_t n, m; /* 1 <= n < m <= 16 */
  const void *values;
  const uint8_t *index;
} ce_nm_weight;

typedef struct ce_nm_conv_desc {
  ce_dtypes dtypes;
  ce_conv_geometry geometry;
  float clip_min, clip_max;
  ce_nm_weight weight;
  const float *bias;
  int32_t activation; /* a CE_ activation; 0, and thus the clip, where it is left out */
} ce_nm_conv_desc;

/* Y [N, out] = clip(X [N, in] W^T + bias). rows: the N that a run usually has, for which the weight is laid out; 0: unknown. */
typedef struct ce_csr_gemm_desc {
  ce_dtypes dtypes;
  int32_t out_features, in_features;
  float clip_min, clip_max;
  const void *values;
  const int32_t *col_idx;
  const int32_t *row_ptr;
  const float *bias;
  int32_t activation; /* a CE_ activation; 0, and thus the clip, where it is left out */
  int32_t rows;
} ce_csr_gemm_desc;

/* The same with one tap. */
typedef struct ce_nm_gemm_desc {
  ce_dtypes dtypes;
  int32_t out_features, in_features;
  float clip_min, clip_max;
  ce_nm_weight weight;
  const float *bias;
  int32_t activation; /* a CE_ activation; 0, and thus the clip, where it is left out */
  int32_t rows;
} ce_nm_gemm_desc;

/* weights [C, 1, kh, kw], bias [C]; out_channels == in_channels == C. */
typedef struct ce_depthwise_conv_desc {
  ce_dtypes dtypes;
  ce_conv_geometry geometry;
  float clip_min, clip_max;
  const float *weights;
  const float *bias;
  int32_t activation; /* a CE_ activation; 0, and thus the clip, where it is left out */
} ce_depthwise_conv_desc;

/* weights [M, C, kh, kw], bias [M]. */
typedef struct ce_dense_conv_desc {
  ce_dtypes dtypes;
  ce_conv_geometry geometry;
  float clip_min, clip_max;
  const float *weights;
  const float *bias;
  int32_t activation; /* a CE_ activation; 0, and thus the clip, where it is left out */
} ce_dense_conv_desc;

/* Y [n] = the mean of each of n planes [h, w]. */
typedef struct ce_global_average_pool_desc {
  ce_dtypes dtypes;
} ce_global_average_pool_desc;

/* Convolutions of which each reads the output of the one before: the first is any of the three, then depthwise ones and
 * 1×1 ones take turns as they like. The residual is added in the last one, which then is a csr_conv. */
enum { CE_MOST_STAGES = 9 };
enum ce_stage_op { CE_STAGE_csr_conv, CE_STAGE_depthwise_conv, CE_STAGE_dense_conv };
typedef struct ce_stage {
  int32_t op;       /* enum ce_stage_op; a csr_conv is 1×1, of stride 1, without padding */
  const void *desc; /* its desc */
} ce_stage;
typedef struct ce_conv_chain_desc {
  ce_dtypes dtypes; /* its stages have their own */
  int32_t count; /* 2 to CE_MOST_STAGES; in_channels of each are the out_channels of the one before */
  int32_t isa;   /* the highest that its stages may use */
  ce_stage stages[CE_MOST_STAGES];
} ce_conv_chain_desc;

/* ---- int8: activations are bytes, real value = scale * (q - zero) ----
 *
 * Between q_ ops a tensor [n, c, h, w] is uint8 [n][ceil(c / 4)][pitch][4], 64-byte aligned: the four channels of a group lie
 * side by side, pitch is h * w rounded up to 16 pixels (so is a plane of one pixel). Pixels past h * w and channels past c
 * hold anything: kernels may read them and write anything there. Bytes are stored xor CE_Q_FLIP (common/quantized.h), which
 * is 0x80 on Arm, whose dot products are of signed bytes, and 0 elsewhere. A run's x, residual and y are such tensors unless
 * it is said otherwise. Sums are exact in int32: whoever makes a plan has made sure that |bias| + 255 * sum |w| of each row
 * stays below 2^31, and that times its factor s below 2^30. All that follows is in float32, each operation rounded to
 * nearest even, in the order that is written, so that every kernel gives the same bytes:
 *
 *   requantise(sum, s, y)  saturate(rne(float(sum) * s) + y.zero), to 0..255
 *   q_conv, q_depthwise_conv, q_gemm   sum = bias[m] + sum of w * (x - x.zero), padding being x.zero; requantised with
 *                          s = (x.scale * w_scale[m]) / y.scale; q_gemm to_float gives float(sum) * (x.scale * w_scale[m])
 *   q_add                  A = a.scale / y.scale, B = b.scale / y.scale, C = y.zero - fma(a.zero, A, b.zero * B):
 *                          saturate(rne(fma(a, A, fma(b, B, C))))
 *   q_mul                  saturate(rne(float((a - a.zero) * (b - b.zero)) * ((a.scale * b.scale) / y.scale) + y.zero)), the
 *                          multiplication and the addition rounded each
 *   q_global_average_pool  sum of (x - x.zero), requantised with s = x.scale / (y.scale * float(h * w))
 *   q_max_pool             the largest byte of the window's pixels that lie in the image
 *   q_table                table[x]
 *   q_quantize             saturate(rne(x / scale) + zero), NaN gives 0
 *   q_dequantize           float(q - zero) * scale */
typedef struct ce_q_grid {
  float scale;
  int32_t zero; /* 0 to 255 */
} ce_q_grid;

/* q_conv; and q_depthwise_conv, whose values are [C, kh, kw], block_rows 0, out_channels == in_channels == C.
 *
 * A block is `block_rows` output channels (rows 2r and 2r + 1 for 2; a last one that there is not has zeros) times four input
 * channels of one tap; its column is (in_channel / 4, kh, kw), flat; columns of a row ascend. Channels past C have zeros.
 * Values may be -128. */
typedef struct ce_q_conv_desc {
  ce_dtypes dtypes; /* both int8 */
  ce_conv_geometry geometry;
  ce_q_grid x, y;
  int32_t block_rows;                /* 1 or 2; 0: dense */
  const int8_t *values;              /* [nnz, block_rows, 4]; dense: [M, C, kh, kw] */
  const int32_t *col_idx, *row_ptr;  /* [nnz], [ceil(M / block_rows) + 1]; NULL where dense */
  const float *w_scale;              /* [M] */
  const int32_t *bias;               /* [M] */
  const uint8_t *table;              /* [256]: what was requantised becomes table[it]; NULL: none */
  int32_t add;                       /* 1 or 2, without a table: q_add with the run's residual, which is b (1) or a (2); 0: none */
  ce_q_grid residual, sum;           /* those of the residual and of the result of that; y stays the convolution's */
} ce_q_conv_desc;
typedef ce_q_conv_desc ce_q_depthwise_conv_desc;

/* x [n, in_features, 1, 1]. y [n, out_features, 1, 1], or float32 [n, out_features] where to_float is set, and y without
 * meaning. Weights as those of a q_conv of one tap: dense [M, K]. */
typedef struct ce_q_gemm_desc {
  ce_dtypes dtypes;
  int32_t out_features, in_features;
  ce_q_grid x, y;
  int32_t block_rows, to_float;
  const int8_t *values;
  const int32_t *col_idx, *row_ptr;
  const float *w_scale;
  const int32_t *bias;
} ce_q_gemm_desc;

/* The following take any number of channels: that of the run's shape. b is the run's residual. */
typedef struct ce_q_add_desc {
  ce_dtypes dtypes;
  ce_q_grid a, b, y;
} ce_q_add_desc;
typedef ce_q_add_desc ce_q_mul_desc; /* b is [n, c, 1, 1]; y's shape is a's */

typedef struct ce_q_global_average_pool_desc {
  ce_dtypes dtypes;
  ce_q_grid x, y;
} ce_q_global_average_pool_desc;

typedef struct ce_q_max_pool_desc {
  ce_dtypes dtypes;
  ce_conv_geometry geometry; /* without channels, dilations of 1, pads below the kernel's sides */
} ce_q_max_pool_desc;

typedef struct ce_q_table_desc {
  ce_dtypes dtypes;
  const uint8_t *table; /* [256] */
} ce_q_table_desc;

/* x of q_quantize and y of q_dequantize are float32 [n, c, h, w], contiguous, aligned to 4 bytes. */
typedef struct ce_q_quantize_desc {
  ce_dtypes dtypes;
  ce_q_grid grid;
} ce_q_quantize_desc;
typedef ce_q_quantize_desc ce_q_dequantize_desc;

/* Input: batch, height, width. For csr_gemm: n rows, h and w are 1; for global_average_pool: n planes. c: channels, which the
 * q_ ops without weights read; the others have their own. */
typedef struct ce_shape {
  int64_t n, h, w, c;
} ce_shape;

/* Some output rows of one image, in planes that need not be contiguous: what a chain of convolutions hands to its stages.
 * x and y are where row 0 of channel 0 is or would be; no row is touched but those that are written or needed for it. */
typedef struct ce_band {
  int64_t first, end;       /* output rows */
  int64_t x_plane, y_plane; /* floats from one channel to the next; the residual's are as y's */
  int64_t ahead;            /* floats of each plane of x, after those that are needed, that a later run is going to need */
  int64_t channel, channels; /* depthwise_conv: which ones; all where `channels` is 0 */
} ce_band;

/* Who computes the inputs of a csr_conv where and when it needs them: `channels` channels from `channel` on, rows [first,
 * end), to planes that are `plane` floats apart, the first row at the beginning of each. */
typedef struct ce_feed ce_feed;
struct ce_feed {
  void (*fill)(const ce_feed *feed, int64_t channel, int64_t channels, int64_t first, int64_t end, float *to, int64_t plane);
};

typedef struct ce_run {
  ce_shape shape;
  const float *x;
  const float *residual; /* added to the sum before the clip, shaped as y; NULL for none; sparse convolutions only */
  float *y;
  void *scratch;
  int32_t threads; /* the t that scratch_bytes and tasks were asked with */
  const ce_band *band; /* NULL: all of y; else n and threads are 1, and csr_conv is 1×1 of stride 1 without padding */
  const ce_feed *feed; /* a csr_conv with a band: its inputs instead of x, or NULL */
} ce_run;

#define CE_DECLARE_OP(op)                                                                   \
  CE_EXPORT size_t ce_##op##_plan_bytes(const ce_##op##_desc *desc, int isa);               \
  CE_EXPORT void ce_##op##_plan_init(void *plan, const ce_##op##_desc *desc, int isa);      \
  CE_EXPORT size_t ce_##op##_scratch_bytes(const void *plan, ce_shape shape, int threads);  \
  CE_EXPORT int ce_##op##_tasks(const void *plan, ce_shape shape, int threads);             \
  CE_EXPORT void ce_##op##_run(const void *plan, const ce_run *run, int task);              \
  CE_EXPORT int ce_##op##_plan_isa(const void *plan); /* the ISA of the kernel that was chosen, a CE_ISA_ */

#define CE_OP(op, dtype) CE_DECLARE_OP(op)
#include "ops.inc"
#undef CE_OP

/* What a csr_conv needs to run with a feed, for a band of any number of rows of the shape; 0 where its kernel cannot. */
CE_EXPORT size_t ce_csr_conv_fed_scratch_bytes(const void *plan, ce_shape shape);

/* The ISA of the kernel that desc would get: whether one that is fused (table, add) loses by it. */
CE_EXPORT int ce_q_conv_chosen_isa(const ce_q_conv_desc *desc, int isa);
CE_EXPORT int ce_q_depthwise_conv_chosen_isa(const ce_q_conv_desc *desc, int isa);

/* Height and width of the output; not positive where the kernel does not fit into the padded input. */
CE_EXPORT void ce_conv_output(const ce_conv_geometry *geometry, ce_shape shape, int64_t *out_h, int64_t *out_w);

/* Bit i is set where this processor, with its operating system, runs enum ce_isa i. */
CE_EXPORT unsigned ce_usable_isas(void);

#endif
