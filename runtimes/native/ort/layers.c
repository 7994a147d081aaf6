#include "layers.h"

#include "q_layers.h"
#include "sequence.h"
#include "validate_nm.h"

#define CE_ONLY_FLOATS

int layer_geometry(node* n, const csr_dims* dims, int64_t in_channels, ce_conv_geometry* out) {
  window w;
  if (!node_window(n, &w)) return 0;
  *out = (ce_conv_geometry){
      .out_channels = (int32_t)dims->rows,
      .in_channels = (int32_t)in_channels,
      .kernel_h = (int32_t)dims->shape[2],
      .kernel_w = (int32_t)dims->shape[3],
      .stride_h = (int32_t)w.strides[0],
      .stride_w = (int32_t)w.strides[1],
      .pad_top = (int32_t)w.pads[0],
      .pad_left = (int32_t)w.pads[1],
      .pad_bottom = (int32_t)w.pads[2],
      .pad_right = (int32_t)w.pads[3],
      .dilation_h = (int32_t)w.dilations[0],
      .dilation_w = (int32_t)w.dilations[1],
  };
  return 1;
}

/* Only ops that clip have bounds. */
static int read_clip(node* n, const layer_source* source, clip* out) {
  *out = (clip){-__builtin_inff(), __builtin_inff()};
  return source->activation != CE_CLIP || node_clip(n, out);
}

/* The kernels read int32 columns; the file has the narrowest type that holds them. */
int layer_columns(node* n, layer_source* source, const csr_arrays* csr) {
  void* memory = NULL;
  const size_t bytes = (size_t)(csr->n_col_idx + 1) * sizeof(int32_t);
  if (!node_take_status(n, ORT(n->api, AllocatorAlloc)(source->allocator, bytes, &memory))) return 0;
  if (!memory) return node_refuse(n, "there is no memory for its %d column numbers", csr->n_col_idx);
  source->columns = memory;
  for (int64_t i = 0; i < csr->n_col_idx; i++) source->columns[i] = (int32_t)csr_column(csr, i);
  return 1;
}

static const struct dtype {
  const char *name, *attribute;
  int number, bytes, onnx;
} dtypes[] = {
#define CE_LISTED_DTYPE(name, number, bytes, onnx) {#name, #name "_arithmetic", number, bytes, onnx},
#include "../dtypes.inc"
#undef CE_LISTED_DTYPE
};
#define DTYPE_COUNT (sizeof dtypes / sizeof dtypes[0])

/* The data type of the values into source->dtypes, and how many bytes one has. */
static int take_dtype(node* n, const constant* values, layer_source* source, int* bytes) {
  static const char names[] =
#define CE_LISTED_DTYPE(name, number, bytes, onnx) " or " #name
#include "../dtypes.inc"
#undef CE_LISTED_DTYPE
      ;
  for (size_t i = 0; i < DTYPE_COUNT; i++)
    if (values->type == dtypes[i].onnx) {
      source->dtypes.values = dtypes[i].number, *bytes = dtypes[i].bytes;
      return 1;
    }
  return node_refuse(n, "its input values must be %s", names + 4);
}

/* What a kernel may multiply and add in: the type of the values, if the node allows it. */
static int read_compute_dtype(node* n, const layer_source* source, int32_t* out) {
  for (size_t i = 1; i < DTYPE_COUNT; i++) {
    int allowed;
    if (!node_flag(n, dtypes[i].attribute, &allowed)) return 0;
    if (!allowed) continue;
    if (source->dtypes.values != dtypes[i].number)
      return node_refuse(n, "%s needs values of %s", dtypes[i].attribute, dtypes[i].name);
    *out = dtypes[i].number;
  }
  return 1;
}

/* Inputs 1 to 5 of the sparse ops. On success the arrays hold every rule of validate_csr.h. values_rank is 2 where the
 * rows of values are blocks of output channels. */
static int read_csr(node* n, int rank, int values_rank, layer_source* source, csr_arrays* csr, csr_dims* dims,
                    const float** bias) {
  constant values, col_idx, row_ptr, shape, offsets;
  if (!node_constant(n, 1, "values", &values) ||
      !node_constant(n, 2, "col_idx", &col_idx) || !node_constant_of(n, 3, "row_ptr", ORT_INT32, 1, &row_ptr) ||
      !node_constant_of(n, 4, "weight_shape", ORT_INT64, 1, &shape) ||
      !node_constant_of(n, 5, "bias", ORT_FLOAT, 1, &offsets))
    return 0;
  int bytes;
  if (!take_dtype(n, &values, source, &bytes)) return 0;
  if (values.rank != values_rank)
    return node_refuse(n, "its input values has %d dimensions, %d are needed", (int64_t)values.rank, (int64_t)values_rank);
  if (values_rank == 2 && values.dims[1] != 2 && values.dims[1] != 4)
    return node_refuse(n, "the rows of values have %d entries, blocks of 2 or 4 output channels are needed", values.dims[1]);
  if (col_idx.type != ORT_UINT8 && col_idx.type != ORT_UINT16 && col_idx.type != ORT_INT32)
    return node_refuse(n, "its input col_idx must be uint8, uint16 or int32");
  if (col_idx.rank != 1) return node_refuse(n, "its input col_idx must have one dimension");
  *csr = (csr_arrays){
      .values = values.data,
      .col_idx = col_idx.data,
      .col_idx_bytes = col_idx.type == ORT_UINT8 ? 1 : col_idx.type == ORT_UINT16 ? 2 : 4,
      .row_ptr = row_ptr.data,
      .weight_shape = shape.data,
      .block_rows = values_rank == 2 ? values.dims[1] : 1,
      .n_values = values_rank == 2 ? values.dims[0] : values.elements,
      .n_col_idx = col_idx.elements,
      .n_row_ptr = row_ptr.elements,
      .n_weight_shape = shape.elements,
      .n_bias = offsets.elements,
  };
  text why = {.length = 0};
  if (!csr_validate(csr, rank, dims, &why)) return node_refuse(n, "%s", why.chars);
  *bias = offsets.data;
  return layer_columns(n, source, csr);
}

static int read_conv(node* n, int values_rank, layer_source* source, csr_arrays* csr, ce_csr_conv_desc* desc) {
  csr_dims dims;
  const float* bias;
  clip c;
  if (!read_csr(n, 4, values_rank, source, csr, &dims, &bias) || !read_clip(n, source, &c)) return 0;
  if (!layer_geometry(n, &dims, dims.shape[1], &source->geometry)) return 0;
  *desc = (ce_csr_conv_desc){source->dtypes, source->geometry, c.low, c.high, csr->values, source->columns, csr->row_ptr, bias,
                             source->activation};
  return 1;
}

int read_csr_conv(node* n, layer_source* source) {
  csr_arrays csr;
  ce_csr_conv_desc* desc = &source->desc.csr_conv;
  return read_conv(n, 1, source, &csr, desc) && read_compute_dtype(n, source, &desc->dtypes.compute);
}

int read_block_csr_conv(node* n, layer_source* source) {
  csr_arrays csr;
  if (!read_conv(n, 2, source, &csr, &source->desc.block_csr_conv.csr)) return 0;
  source->desc.block_csr_conv.block_rows = (int32_t)csr.block_rows;
  return 1;
}

int read_csr_gemm(node* n, layer_source* source) {
  csr_arrays csr;
  csr_dims dims;
  const float* bias;
  clip c;
  if (!read_csr(n, 2, 1, source, &csr, &dims, &bias) || !read_clip(n, source, &c)) return 0;
  source->geometry = (ce_conv_geometry){(int32_t)dims.rows, (int32_t)dims.columns, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1};
  source->desc.csr_gemm = (ce_csr_gemm_desc){source->dtypes, (int32_t)dims.rows, (int32_t)dims.columns, c.low, c.high, csr.values,
                                             source->columns,    csr.row_ptr,           bias,  source->activation, 0};
  return node_count(n, "rows", &source->desc.csr_gemm.rows);
}

/* Inputs 1 to 4 of the ops with N:M weights. On success they hold every rule of validate_nm.h. */
static int read_nm(node* n, int rank, layer_source* source, ce_nm_weight* weight, csr_dims* dims, const float** bias) {
  constant values, index, shape, offsets;
  nm_arrays nm;
  if (!node_int(n, "m", &nm.m) || !node_constant(n, 1, "values", &values) ||
      !node_constant_of(n, 2, "index", ORT_UINT8, 1, &index) ||
      !node_constant_of(n, 3, "weight_shape", ORT_INT64, 1, &shape) ||
      !node_constant_of(n, 4, "bias", ORT_FLOAT, 1, &offsets))
    return 0;
  if (!take_dtype(n, &values, source, &nm.value_bytes)) return 0;
  if (values.rank != 4) return node_refuse(n, "its input values has %d dimensions, 4 are needed", (int64_t)values.rank);
  nm.values = values.data;
  nm.index = index.data, nm.n_index = index.elements;
  nm.weight_shape = shape.data, nm.n_weight_shape = shape.elements, nm.n_bias = offsets.elements;
  for (int i = 0; i < 4; i++) nm.value_dims[i] = values.dims[i];
  text why = {.length = 0};
  if (!nm_validate(&nm, rank, dims, &why)) return node_refuse(n, "%s", why.chars);
  *bias = offsets.data;
  *weight = (ce_nm_weight){(int32_t)values.dims[3], (int32_t)nm.m, values.data, index.data};
  return 1;
}

int read_nm_conv(node* n, layer_source* source) {
  csr_dims dims;
  ce_nm_weight weight;
  const float* bias;
  clip c;
  if (!read_nm(n, 4, source, &weight, &dims, &bias) || !read_clip(n, source, &c)) return 0;
  if (!layer_geometry(n, &dims, dims.shape[1], &source->geometry)) return 0;
  source->desc.nm_conv = (ce_nm_conv_desc){source->dtypes, source->geometry, c.low, c.high, weight, bias, source->activation};
  return 1;
}

int read_nm_gemm(node* n, layer_source* source) {
  csr_dims dims;
  ce_nm_weight weight;
  const float* bias;
  clip c;
  if (!read_nm(n, 2, source, &weight, &dims, &bias) || !read_clip(n, source, &c)) return 0;
  source->geometry = (ce_conv_geometry){(int32_t)dims.rows, (int32_t)dims.columns, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1};
  source->desc.nm_gemm = (ce_nm_gemm_desc){source->dtypes, (int32_t)dims.rows, (int32_t)dims.columns, c.low, c.high, weight, bias,
                                           source->activation, 0};
  return node_count(n, "rows", &source->desc.nm_gemm.rows);
}

/* Inputs 1 and 2 of DepthwiseConv and DenseConv. */
static int read_dense(node* n, csr_dims* dims, constant* weights, constant* bias) {
  text why = {.length = 0};
  if (!node_constant_of(n, 1, "W", ORT_FLOAT, 4, weights) ||
      !node_constant_of(n, 2, "bias", ORT_FLOAT, 1, bias))
    return 0;
  if (!weight_shape_validate(weights->dims, 4, 4, dims, &why)) return node_refuse(n, "%s", why.chars);
  if (bias->elements != dims->rows)
    return node_refuse(n, "bias has %d elements, a weight of %d rows needs as many", bias->elements, dims->rows);
  return 1;
}

int read_depthwise_conv(node* n, layer_source* source) {
  csr_dims dims;
  constant weights, bias;
  clip c;
  if (!read_dense(n, &dims, &weights, &bias) || !read_clip(n, source, &c)) return 0;
  if (dims.shape[1] != 1)
    return node_refuse(n, "dimension 1 of its weight is %d, a depthwise weight has 1", dims.shape[1]);
  if (!layer_geometry(n, &dims, dims.rows, &source->geometry)) return 0;
  source->desc.depthwise_conv = (ce_depthwise_conv_desc){source->dtypes, source->geometry, c.low,     c.high,
                                                       weights.data,     bias.data, source->activation};
  return 1;
}

int read_dense_conv(node* n, layer_source* source) {
  csr_dims dims;
  constant weights, bias;
  clip c;
  if (!read_dense(n, &dims, &weights, &bias) || !read_clip(n, source, &c)) return 0;
  if (!layer_geometry(n, &dims, dims.shape[1], &source->geometry)) return 0;
  source->desc.dense_conv = (ce_dense_conv_desc){source->dtypes, source->geometry, c.low,     c.high,
                                                       weights.data,     bias.data, source->activation};
  return 1;
}

int read_global_average_pool(node* n, layer_source* source) {
  (void)n;
  source->geometry = (ce_conv_geometry){0};
  source->desc.global_average_pool = (ce_global_average_pool_desc){source->dtypes};
  return 1;
}

#define PLAN_FUNCTIONS(op)                                                                                              \
  static size_t op##_plan_bytes(const op_source* source) {                                                              \
    return ce_##op##_plan_bytes(source->desc, source->isa);                                                              \
  }                                                                                                                     \
  static void op##_plan_init(void* plan, const op_source* source) {                                                     \
    ce_##op##_plan_init(plan, source->desc, source->isa);                                                               \
  }
#define CE_ALL_float32(op) PLAN_FUNCTIONS(op)
#define CE_ALL_int8(op)
#define CE_OP(op, dtype) CE_ALL_##dtype(op)
#include "../ops.inc"
#undef CE_OP

#define FUNCTIONS(op) \
  op##_plan_bytes, op##_plan_init, ce_##op##_scratch_bytes, ce_##op##_tasks, ce_##op##_run, .dims = DIMS_LAYER
#define CHAIN(stages, inputs, residual) {"ConvChain" stages, CE_CLIP, stages, 4, inputs, residual, NULL, FUNCTIONS(conv_chain)}

/* A file has a name for each text of stages, as many readers find a function's body by its name alone. */
#define SEQUENCE(number) \
  {.name = "ConvSequence" number, .rank = 4, .parts = ops, .part_count = OP_COUNT, .most = MOST_IN_CONV_SEQUENCE}
#define Q_SEQUENCE(number) \
  {.name = "QSequence" number, .rank = 4, .parts = q_stages, .part_count = Q_STAGE_COUNT, .most = MOST_IN_SEQUENCE}
#define SIXTEEN(S) \
  S(""), S("2"), S("3"), S("4"), S("5"), S("6"), S("7"), S("8"), S("9"), S("10"), S("11"), S("12"), S("13"), S("14"), S("15"), S("16")

/* An op and its variants: the name says the activation, as a function body in standard ONNX cannot branch on an attribute. */
#define OPS(name, ...)                                                               \
  {name, CE_CLIP, __VA_ARGS__}, {name "HardSwish", CE_HARD_SWISH, __VA_ARGS__}, {name "Silu", CE_SILU, __VA_ARGS__}

const op ops[OP_COUNT] = {
    OPS("CsrConv", "P", 4, 6, 0, read_csr_conv, FUNCTIONS(csr_conv)),
    OPS("CsrConvAdd", "A", 4, 7, 6, read_csr_conv, FUNCTIONS(csr_conv)),
    OPS("BlockCsrConv", "P", 4, 6, 0, read_block_csr_conv, FUNCTIONS(block_csr_conv)),
    OPS("BlockCsrConvAdd", "A", 4, 7, 6, read_block_csr_conv, FUNCTIONS(block_csr_conv)),
    OPS("NmConv", "", 4, 5, 0, read_nm_conv, FUNCTIONS(nm_conv)),
    OPS("NmConvAdd", "", 4, 6, 5, read_nm_conv, FUNCTIONS(nm_conv)),
    OPS("NmGemm", "", 2, 5, 0, read_nm_gemm, FUNCTIONS(nm_gemm)),
    OPS("CsrGemm", "P", 2, 6, 0, read_csr_gemm, FUNCTIONS(csr_gemm)),
    OPS("DepthwiseConv", "D", 4, 3, 0, read_depthwise_conv, FUNCTIONS(depthwise_conv)),
    OPS("DenseConv", "S", 4, 3, 0, read_dense_conv, FUNCTIONS(dense_conv)),
    {"GlobalAveragePool", CE_CLIP, "", 4, 1, 0, read_global_average_pool, FUNCTIONS(global_average_pool)},
    CHAIN("DP", 8, 0),
    CHAIN("DA", 9, 8),
    CHAIN("DPDP", 15, 0),
    CHAIN("SDP", 10, 0),
    CHAIN("SDPDP", 17, 0),
    CHAIN("SDPPDP", 22, 0),
    CHAIN("PDP", 13, 0),
    CHAIN("PDA", 14, 13),
    SIXTEEN(SEQUENCE),
    SIXTEEN(Q_SEQUENCE),
};
