/* A stage of a node: a layer, or a chain of them, as a plan made from validated weights, and the shapes that it takes. */
#ifndef CHITA_EDGE_ORT_STAGE_H
#define CHITA_EDGE_ORT_STAGE_H

#include "op.h"
#include "runtime.h"

/* What a session's options say to the kernels, and whose session it is. */
typedef struct settings {
  int threads; /* size of the intra-op pool, as far as it is known */
  int isa;     /* a CE_ISA_: none above it is used */
  runtime* runtime;
} settings;

enum { NO_VALUE = -1 };

/* Whose sentences they are. */
typedef struct label {
  const OrtApi* api;
  const char* op;
  int stage; /* of a sequence, which the sentence names; NO_VALUE: none */
  char name[257];
} label;

typedef struct stage {
  const op* op;
  void* memory; /* the allocation that holds the plan; NULL where `shared` does */
  void* plan;
  size_t bytes; /* of the plan */
  struct shared_plan* shared;
  int layers; /* 1, or those of a chain */
  ce_conv_geometry geometries[CE_MOST_STAGES];
  int source, residual; /* in a sequence: which value it reads, and adds (NO_VALUE: none) */
  int index;            /* and the number that the node gives it */
} stage;

/* The refusal `chita.edge op "name": sentence`. */
OrtStatus* refuse(const label*, const char* format, ...);

/* Memory of at least one byte, aligned to 64 in `aligned`; `memory` is what release takes back. */
OrtStatus* allocate(const OrtApi*, OrtAllocator*, size_t bytes, void** memory, void** aligned);
void release(const OrtApi*, OrtAllocator*, void* memory);

/* Reads the constants of `op` from the node and packs them; node->status holds the refusal where it answers 0. */
int stage_create(node*, const op*, const settings*, OrtAllocator*, stage* out);
/* Packs what has been read. */
int stage_plan(node*, const op*, const op_source*, stage* out);

/* From the dimensions of a stage's input to those of its output; refuses what is not possible or whose offsets do not fit
 * int32. Dimensions beyond the op's rank are not touched. */
OrtStatus* layer_dims(const label*, const ce_conv_geometry*, int rank, const int64_t in[4], ce_shape* shape, int64_t out[4]);
OrtStatus* stage_dims(const label*, const stage*, const int64_t in[4], ce_shape* shape, int64_t out[4]);
OrtStatus* check_residual(const label*, const stage*, const int64_t residual[4], const int64_t out[4]);

#endif
