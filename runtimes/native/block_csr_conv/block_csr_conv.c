/* Sparse convolution whose non-zeros come in blocks of 2 or 4 output rows, which share their columns. A piece of the inputs is
 * loaded once for 2 or 4 multiply-adds, where CSR loads it for each.
 */
#define CE_BLOCKS
#include "csr_conv/storage.h"
#include "sparse_conv/sparse_conv.h"

CE_DEFINE_KERNEL(block_csr_conv, CE_ISA)
