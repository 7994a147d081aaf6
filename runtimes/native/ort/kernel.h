/* One node at run time: made from validated weights, run by ONNX Runtime's threads, in ONNX Runtime's memory. */
#ifndef CHITA_EDGE_ORT_KERNEL_H
#define CHITA_EDGE_ORT_KERNEL_H

#include "stage.h"

OrtStatus* kernel_create(const op* op, const settings* settings, const OrtApi* api, const OrtKernelInfo* info,
                         void** kernel);
OrtStatus* kernel_compute(void* kernel, OrtKernelContext* context);
void kernel_destroy(void* kernel);

#endif
