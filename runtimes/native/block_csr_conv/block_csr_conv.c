/* Sparse convolution whose non-zeros come in blocks of 2 or 4 output rows: the sparse convolution's source, with rows that
 * share their columns. A piece of the inputs is loaded once for 2 or 4 multiply-adds, where CSR loads it for each.
 */
#define CE_BLOCKS
#include "csr_conv/csr_conv.c"
