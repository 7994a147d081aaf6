#include "layers.h"

/* How many constants a layer has. */
static int constant_count(char stage) { return stage == 'P' || stage == 'A' ? 5 : 2; }

static int stage_op(char stage) {
  return stage == 'S' ? CE_STAGE_dense_conv : stage == 'D' ? CE_STAGE_depthwise_conv : CE_STAGE_csr_conv;
}

static int read_stage(node* n, char stage, layer_source* source) {
  if (stage == 'S') return read_dense_conv(n, source);
  if (stage == 'D') return read_depthwise_conv(n, source);
  if (!read_csr_conv(n, source)) return 0;
  const ce_conv_geometry* g = &source->geometry;
  const int64_t more = (g->kernel_h - 1) | (g->kernel_w - 1) | (g->stride_h - 1) | (g->stride_w - 1) | g->pad_top | g->pad_left |
                       g->pad_bottom | g->pad_right;
  return !more || node_refuse(n, "in a chain a sparse convolution is 1 by 1, of stride 1, without padding");
}

static int read_conv_chain(node* n, const op* op, op_source* source) {
  static const char* const names[CE_MOST_STAGES] = {"_0", "_1", "_2", "_3", "_4", "_5", "_6", "_7", "_8"};
  for (int i = 0; op->stages[i]; i++) {
    layer_source* layer = &source->layers[i];
    n->stage = names[i];
    if (!read_stage(n, op->stages[i], layer)) return 0;
    if (i && layer->geometry.in_channels != source->layers[i - 1].geometry.out_channels)
      return node_refuse(n, "it has %d channels, the stage before makes %d", (int64_t)layer->geometry.in_channels,
                         (int64_t)source->layers[i - 1].geometry.out_channels);
    n->first += constant_count(op->stages[i]);
    source->chain.stages[i] = (ce_stage){stage_op(op->stages[i]), &layer->desc};
    source->chain.count = source->count = i + 1;
  }
  return 1;
}

int op_read(node* n, const op* op, op_source* source) {
  for (int i = 0; i < CE_MOST_STAGES; i++) {
    source->layers[i].allocator = source->allocator;
    source->layers[i].activation = op->activation;
  }
  source->count = 1;
  source->chain.isa = source->isa;
  source->desc = op->read ? (const void*)&source->layers[0].desc : &source->chain;
  if (op->read) return op->read(n, &source->layers[0]);
  return read_conv_chain(n, op, source);
}

static void free_one(const node* n, const op_source* source, void* memory) {
  OrtStatus* status = memory ? ORT(n->api, AllocatorFree)(source->allocator, memory) : NULL;
  if (status) ORT(n->api, ReleaseStatus)(status);
}

void op_source_free(const node* n, op_source* source) {
  for (int i = 0; i < CE_MOST_STAGES; i++) {
    layer_source* layer = &source->layers[i];
    free_one(n, source, layer->columns);
    layer->columns = NULL;
  }
}

#define PLAN_FUNCTIONS(op)                                                                                              \
  static size_t op##_plan_bytes(const op_source* source) {                                                              \
    return ce_##op##_plan_bytes(source->desc, source->isa);                                                              \
  }                                                                                                                     \
  static void op##_plan_init(void* plan, const op_source* source) {                                                     \
    ce_##op##_plan_init(plan, source->desc, source->isa);                                                               \
  }
#define CE_OP(op) PLAN_FUNCTIONS(op)
#include "../ops.inc"
#undef CE_OP

#define FUNCTIONS(op) op##_plan_bytes, op##_plan_init, ce_##op##_scratch_bytes, ce_##op##_tasks, ce_##op##_run
#define CHAIN(stages, inputs, residual) {"ConvChain" stages, CE_CLIP, stages, 4, inputs, residual, NULL, FUNCTIONS(conv_chain)}

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
    {.name = "ConvSequence", .rank = 4},
};
