/* The ops as the skin sees them: how a node becomes a plan, and the five functions that run it. */
#ifndef CHITA_EDGE_ORT_OP_H
#define CHITA_EDGE_ORT_OP_H

#include "../edge.h"
#include "node.h"

enum { OP_COUNT = 71 };

/* What a value between the stages of a sequence is: float32 [N, C, H, W] or [N, M], or the bytes of the q_ ops. */
enum op_value { VALUE_FLOATS, VALUE_VECTOR, VALUE_BYTES };

/* Which of ops.inc an op is. */
enum op_kind {
#define CE_OP(op, dtype) OP_##op,
#include "../ops.inc"
#undef CE_OP
};

/* How the dimensions of an op's output follow from its input's: as its geometry says; the same, the second value's being
 * the same or one pixel; one pixel; a window over any number of channels; a layer of one pixel. */
enum op_dims { DIMS_LAYER, DIMS_SAME, DIMS_SCALED, DIMS_MEAN, DIMS_WINDOW, DIMS_VECTOR };

/* What a layer's attributes and constants say, after validation. Pointers lead into ONNX Runtime's initializers, but
 * for `columns`, which are allocated here and freed by op_source_free. */
typedef struct layer_source {
  union {
#define CE_OP(op, dtype) ce_##op##_desc op;
#include "../ops.inc"
#undef CE_OP
  } desc;
  ce_dtypes dtypes;
  ce_q_grid x, second, made; /* of a q_ op: the grids of what it reads, set before `read`, and of what it makes */
  ce_conv_geometry geometry; /* of a 1x1 convolution for CsrGemm; of no channels for GlobalAveragePool, which takes any */
  int activation;            /* a CE_ activation, the op's; set before `read` */
  OrtAllocator* allocator;
  int32_t* columns;
} layer_source;

typedef struct op_source {
  OrtAllocator* allocator;
  int isa;   /* a CE_ISA_: none above it is used */
  int count; /* of layers: 1, or the stages of a chain */
  layer_source layers[CE_MOST_STAGES];
  ce_conv_chain_desc chain;
  const void* desc; /* what the plan is made from: that of the one layer, or the chain's */
} op_source;

typedef struct op op;
struct op {
  const char* name;
  int activation;     /* a CE_ activation */
  const char* stages; /* S a dense convolution, D a depthwise one, P a sparse layer, A one with a residual; NULL: a sequence */
  int rank;           /* of X and Y */
  int inputs;   /* of a sequence: as many as its stages need */
  int residual; /* index of the input that is added before the activation, 0: none; shaped as Y */
  int (*read)(node*, layer_source*); /* NULL: a chain, whose stages are read one by one, or a sequence */
  size_t (*plan_bytes)(const op_source*);
  void (*plan_init)(void* plan, const op_source*);
  size_t (*scratch_bytes)(const void* plan, ce_shape, int threads);
  int (*tasks)(const void* plan, ce_shape, int threads);
  void (*run)(const void* plan, const ce_run*, int task);
  const op* parts; /* of a sequence: what its stages may be, and how many of them there may be */
  int part_count, most;
  enum op_kind kind;          /* of a stage of a QSequence, as are the following */
  enum op_value takes, makes;
  enum op_dims dims;
};

extern const op ops[OP_COUNT];

/* Its inputs besides X and the residual. */
static inline int op_constants(const op* op) { return op->inputs - 1 - !!op->residual; }

/* Fills in `source`, whose allocator and ISA are set, from the node's attributes and constants. */
int op_read(node*, const op*, op_source* source);
void op_source_free(const node*, op_source*);

#endif
