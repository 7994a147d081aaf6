/* Sparse convolution with weights in compressed sparse rows. */
#include "csr_conv/storage.h"
#include "sparse_conv/sparse_conv.h"

CE_DEFINE_KERNEL(csr_conv, CE_ISA)
