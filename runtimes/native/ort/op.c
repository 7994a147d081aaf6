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

static int read_stages(node* n, const op* op, op_source* source) {
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
  return read_stages(n, op, source);
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
