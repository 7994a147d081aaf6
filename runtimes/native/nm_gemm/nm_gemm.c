/* Sparse matrix product with N:M weights: the sparse product's source, its plan made of packed weights. */
#define CE_NM
#include "csr_gemm/csr_gemm.c"
