/* One node at run time: made from validated weights, run by ONNX Runtime's threads, in ONNX Runtime's memory. */
#ifndef CHITA_EDGE_ORT_KERNEL_H
#define CHITA_EDGE_ORT_KERNEL_H

#include "op.h"

/* What a session's options say to the kernels. */
typedef struct settings {
  int threads; /* size of the intra-op pool, as far as it is known */
  int isa;     /* a CE_ISA_: none above it is used */
  int shape_references; /* whether this ONNX Runtime has GetTensorElementTypeAndShapeDataReference */
} settings;

OrtStatus* kernel_create(const op* op, const settings* settings, const OrtApi* api, const OrtKernelInfo* info,
                         void** kernel);
OrtStatus* kernel_compute(void* kernel, OrtKernelContext* context);
void kernel_destroy(void* kernel);

#endif
