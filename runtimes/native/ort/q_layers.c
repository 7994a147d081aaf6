#include "q_layers.h"

#include "layers.h"
#include "validate_q.h"

#define INT8 ((ce_dtypes){CE_DTYPE_int8, CE_DTYPE_int8})

static int refuse_text(node* n, const text* why) { return node_refuse(n, "%s", why->chars); }

/* Inputs `at` and `at` + 1: the grid of what the stage makes. */
static int read_grid(node* n, size_t at, ce_q_grid* out) {
  constant scale, zero;
  text why = {.length = 0};
  if (!node_constant_of(n, at, "y_scale", ORT_FLOAT, 0, &scale) || !node_constant_of(n, at + 1, "y_zero", ORT_UINT8, 0, &zero))
    return 0;
  *out = (ce_q_grid){*(const float*)scale.data, *(const uint8_t*)zero.data};
  return q_scale_validate(out->scale, "y_scale", &why) || refuse_text(n, &why);
}

/* Inputs 1 to 4 of a layer in blocks. */
static int read_blocks(node* n, q_arrays* out, constant* shape) {
  constant values, col_idx, row_ptr;
  if (!node_constant(n, 1, "values", &values) || !node_constant(n, 2, "col_idx", &col_idx) ||
      !node_constant_of(n, 3, "row_ptr", ORT_INT32, 1, &row_ptr) ||
      !node_constant_of(n, 4, "weight_shape", ORT_INT64, 1, shape))
    return 0;
  if (values.type != ORT_INT8) return node_refuse(n, "its input values must be int8");
  if (values.rank < 2 || values.rank > 3 || values.dims[values.rank - 1] != 4 || (values.rank == 3 && values.dims[1] != 2))
    return node_refuse(n, "its input values must be [blocks, 4] or [blocks, 2, 4]");
  if (col_idx.type != ORT_UINT8 && col_idx.type != ORT_UINT16 && col_idx.type != ORT_INT32)
    return node_refuse(n, "its input col_idx must be uint8, uint16 or int32");
  if (col_idx.rank != 1) return node_refuse(n, "its input col_idx must have one dimension");
  out->csr = (csr_arrays){
      .values = values.data,
      .col_idx = col_idx.data,
      .col_idx_bytes = col_idx.type == ORT_UINT8 ? 1 : col_idx.type == ORT_UINT16 ? 2 : 4,
      .row_ptr = row_ptr.data,
      .weight_shape = shape->data,
      .block_rows = values.rank == 3 ? 2 : 1,
      .n_values = values.dims[0],
      .n_col_idx = col_idx.elements,
      .n_row_ptr = row_ptr.elements,
      .n_weight_shape = shape->elements,
  };
  return 1;
}

static int read_dense(node* n, int rank, q_arrays* out, constant* weight) {
  if (!node_constant_of(n, 1, "W", ORT_INT8, rank, weight)) return 0;
  out->csr = (csr_arrays){.values = weight->data, .weight_shape = weight->dims, .n_weight_shape = rank};
  return 1;
}

enum kind { BLOCKS, DENSE, DEPTHWISE };

/* Weights, scales, biases and, unless the stage makes floats, the grid of its output; all of them validated. */
static int read_weights(node* n, enum kind kind, int rank, int to_float, layer_source* source, q_arrays* q, csr_dims* dims) {
  constant kept, w_scale, bias;
  text why = {.length = 0};
  *q = (q_arrays){.n_w_scale = 0};
  if (!(kind == BLOCKS ? read_blocks(n, q, &kept) : read_dense(n, rank, q, &kept))) return 0;
  const size_t at = kind == BLOCKS ? 5 : 2;
  if (!node_constant_of(n, at, "w_scale", ORT_FLOAT, 1, &w_scale) || !node_constant_of(n, at + 1, "bias", ORT_INT32, 1, &bias))
    return 0;
  if (!to_float && !read_grid(n, at + 2, &source->made)) return 0;
  q->w_scale = w_scale.data, q->n_w_scale = w_scale.elements;
  q->bias = bias.data, q->csr.n_bias = bias.elements;
  if (!q_weights_validate(q, rank, kind == DEPTHWISE, dims, &why) ||
      !q_sums_validate(q, dims, source->x, to_float ? NULL : &source->made, &why))
    return refuse_text(n, &why);
  return kind != BLOCKS || layer_columns(n, source, &q->csr);
}

static int read_q_layer(node* n, enum kind kind, layer_source* source) {
  q_arrays q;
  csr_dims dims;
  if (!read_weights(n, kind, 4, 0, source, &q, &dims)) return 0;
  if (!layer_geometry(n, &dims, kind == DEPTHWISE ? dims.rows : dims.shape[1], &source->geometry)) return 0;
  source->desc.q_conv = (ce_q_conv_desc){
      .dtypes = INT8,
      .geometry = source->geometry,
      .x = source->x,
      .y = source->made,
      .block_rows = (int32_t)q.csr.block_rows,
      .values = q.csr.values,
      .col_idx = kind == BLOCKS ? source->columns : NULL,
      .row_ptr = q.csr.row_ptr,
      .w_scale = q.w_scale,
      .bias = q.bias,
  };
  return 1;
}

static int read_block_conv(node* n, layer_source* source) { return read_q_layer(n, BLOCKS, source); }
static int read_q_dense_conv(node* n, layer_source* source) { return read_q_layer(n, DENSE, source); }
static int read_q_depthwise(node* n, layer_source* source) { return read_q_layer(n, DEPTHWISE, source); }

static int read_linear(node* n, enum kind kind, int to_float, layer_source* source) {
  q_arrays q;
  csr_dims dims;
  if (!read_weights(n, kind, 2, to_float, source, &q, &dims)) return 0;
  source->geometry = (ce_conv_geometry){(int32_t)dims.rows, (int32_t)dims.columns, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1};
  source->desc.q_gemm = (ce_q_gemm_desc){
      .dtypes = INT8,
      .out_features = (int32_t)dims.rows,
      .in_features = (int32_t)dims.columns,
      .x = source->x,
      .y = to_float ? (ce_q_grid){1, 0} : source->made,
      .block_rows = (int32_t)q.csr.block_rows,
      .to_float = to_float,
      .values = q.csr.values,
      .col_idx = kind == BLOCKS ? source->columns : NULL,
      .row_ptr = q.csr.row_ptr,
      .w_scale = q.w_scale,
      .bias = q.bias,
  };
  return 1;
}

static int read_block_gemm(node* n, layer_source* source) { return read_linear(n, BLOCKS, 0, source); }
static int read_dense_gemm(node* n, layer_source* source) { return read_linear(n, DENSE, 0, source); }
static int read_block_gemm_float(node* n, layer_source* source) { return read_linear(n, BLOCKS, 1, source); }
static int read_dense_gemm_float(node* n, layer_source* source) { return read_linear(n, DENSE, 1, source); }

static int read_quantize(node* n, layer_source* source) {
  if (!read_grid(n, 1, &source->made)) return 0;
  source->desc.q_quantize = (ce_q_quantize_desc){INT8, source->made};
  return 1;
}

static int read_dequantize(node* n, layer_source* source) {
  (void)n;
  source->desc.q_dequantize = (ce_q_dequantize_desc){INT8, source->x};
  return 1;
}

int q_add_read(node* n, layer_source* source) {
  text why = {.length = 0};
  if (!read_grid(n, 1, &source->made)) return 0;
  return (q_ratio_validate(source->x.scale, source->made.scale, "the scale of what it reads", &why) &&
          q_ratio_validate(source->second.scale, source->made.scale, "the scale of what it adds", &why)) ||
         refuse_text(n, &why);
}

static int read_add(node* n, layer_source* source) {
  if (!q_add_read(n, source)) return 0;
  source->desc.q_add = (ce_q_add_desc){INT8, source->x, source->second, source->made};
  return 1;
}

/* 255 * 255 steps of the product of both scales are below 2^30 of the output's. */
static int read_mul(node* n, layer_source* source) {
  text why = {.length = 0};
  if (!read_grid(n, 1, &source->made)) return 0;
  if (!q_ratio_validate(source->x.scale * source->second.scale * 64, source->made.scale, "64 times the product of its scales", &why))
    return refuse_text(n, &why);
  source->desc.q_mul = (ce_q_mul_desc){INT8, source->x, source->second, source->made};
  return 1;
}

static int read_mean(node* n, layer_source* source) {
  text why = {.length = 0};
  if (!read_grid(n, 1, &source->made)) return 0;
  if (!q_ratio_validate(source->x.scale, source->made.scale, "the scale of what it reads", &why)) return refuse_text(n, &why);
  source->desc.q_global_average_pool = (ce_q_global_average_pool_desc){INT8, source->x, source->made};
  return 1;
}

static int read_max_pool(node* n, layer_source* source) {
  int64_t kernel[2];
  window w;
  if (!node_kernel(n, kernel) || !node_window(n, &w)) return 0;
  for (int i = 0; i < 2; i++) {
    if (w.dilations[i] != 1) return node_refuse(n, "a maximum over a window has no dilation");
    if (kernel[i] > MAX_KERNEL) return node_refuse(n, "its window has a side of %d, more than %d", kernel[i], (int64_t)MAX_KERNEL);
    if (w.pads[i] >= kernel[i] || w.pads[i + 2] >= kernel[i])
      return node_refuse(n, "a padding of its window is not below the window's side of %d", kernel[i]);
  }
  source->geometry = (ce_conv_geometry){
      .kernel_h = (int32_t)kernel[0],
      .kernel_w = (int32_t)kernel[1],
      .stride_h = (int32_t)w.strides[0],
      .stride_w = (int32_t)w.strides[1],
      .pad_top = (int32_t)w.pads[0],
      .pad_left = (int32_t)w.pads[1],
      .pad_bottom = (int32_t)w.pads[2],
      .pad_right = (int32_t)w.pads[3],
      .dilation_h = 1,
      .dilation_w = 1,
  };
  source->made = source->x;
  source->desc.q_max_pool = (ce_q_max_pool_desc){INT8, source->geometry};
  return 1;
}

int q_table_read(node* n, layer_source* source, const uint8_t** table) {
  constant found;
  if (!node_constant_of(n, 1, "table", ORT_UINT8, 1, &found)) return 0;
  if (found.elements != 256) return node_refuse(n, "its input table has %d elements, 256 are needed", found.elements);
  *table = found.data;
  return read_grid(n, 2, &source->made);
}

static int read_table(node* n, layer_source* source) {
  source->desc.q_table.dtypes = INT8;
  return q_table_read(n, source, &source->desc.q_table.table);
}

#define PLAN_FUNCTIONS(op)                                                     \
  static size_t op##_plan_bytes(const op_source* source) {                     \
    return ce_##op##_plan_bytes(source->desc, source->isa);                    \
  }                                                                            \
  static void op##_plan_init(void* plan, const op_source* source) {            \
    ce_##op##_plan_init(plan, source->desc, source->isa);                      \
  }
#define CE_ALL_float32(op)
#define CE_ALL_int8(op) PLAN_FUNCTIONS(op)
#define CE_OP(op, dtype) CE_ALL_##dtype(op)
#include "../ops.inc"
#undef CE_OP

#define STAGE_OF(text, constants, added, from, to, rule, reader, op)                                                       \
  {                                                                                                                    \
    .name = text, .stages = "", .rank = to == VALUE_VECTOR ? 2 : 4, .inputs = constants + 1 + added, .residual = added, \
    .read = reader, .plan_bytes = op##_plan_bytes, .plan_init = op##_plan_init, .scratch_bytes = ce_##op##_scratch_bytes, \
    .tasks = ce_##op##_tasks, .run = ce_##op##_run, .kind = OP_##op, .takes = from, .makes = to, .dims = rule,                            \
  }
#define STAGE(text, constants, added, rule, reader, op) \
  STAGE_OF(text, constants, added, VALUE_BYTES, VALUE_BYTES, rule, reader, op)

const op q_stages[Q_STAGE_COUNT] = {
    STAGE_OF("Quantize", 2, 0, VALUE_FLOATS, VALUE_BYTES, DIMS_SAME, read_quantize, q_quantize),
    STAGE_OF("Dequantize", 0, 0, VALUE_BYTES, VALUE_FLOATS, DIMS_SAME, read_dequantize, q_dequantize),
    STAGE("QBlockConv", 8, 0, DIMS_LAYER, read_block_conv, q_conv),
    STAGE("QDenseConv", 5, 0, DIMS_LAYER, read_q_dense_conv, q_conv),
    STAGE("QDepthwiseConv", 5, 0, DIMS_LAYER, read_q_depthwise, q_depthwise_conv),
    STAGE("QAdd", 2, 1, DIMS_SAME, read_add, q_add),
    STAGE("QMul", 2, 1, DIMS_SCALED, read_mul, q_mul),
    STAGE("QGlobalAveragePool", 2, 0, DIMS_MEAN, read_mean, q_global_average_pool),
    STAGE("QMaxPool", 0, 0, DIMS_WINDOW, read_max_pool, q_max_pool),
    STAGE("QTable", 3, 0, DIMS_SAME, read_table, q_table),
    STAGE("QBlockGemm", 8, 0, DIMS_VECTOR, read_block_gemm, q_gemm),
    STAGE("QDenseGemm", 5, 0, DIMS_VECTOR, read_dense_gemm, q_gemm),
    STAGE_OF("QBlockGemmFloat", 6, 0, VALUE_BYTES, VALUE_VECTOR, DIMS_VECTOR, read_block_gemm_float, q_gemm),
    STAGE_OF("QDenseGemmFloat", 3, 0, VALUE_BYTES, VALUE_VECTOR, DIMS_VECTOR, read_dense_gemm_float, q_gemm),
};
