/* An ONNX Runtime of this process. Each SDK of an app may bring one of its own, of another version: nothing that one of
 * them made is handed to another. */
#ifndef CHITA_EDGE_ORT_RUNTIME_H
#define CHITA_EDGE_ORT_RUNTIME_H

#include "abi.h"

typedef struct runtime {
  const OrtApi* api;
  int shape_references; /* whether it has GetTensorElementTypeAndShapeDataReference */
  void* spare;          /* what scratch.c keeps of its memory between runs */
  struct shared_plan* plans; /* shared.c */
  int plans_locked;
} runtime;

#endif
