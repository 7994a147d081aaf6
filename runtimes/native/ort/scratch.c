/* One block is kept between runs, for whichever kernel runs next in whichever session of the same ONNX Runtime: a node then
 * costs no allocation, and its scratch is the memory that the node before it has left in the cache. Runs at the same time
 * get blocks of their own.
 */
#include "scratch.h"

#define ALIGNMENT 64
#define MOST_KEPT ((size_t)4 << 20) /* bytes */

typedef struct block {
  size_t bytes; /* after the header */
} block;

static void release(const OrtApi* api, block* b) {
  OrtAllocator* allocator = NULL;
  if (!b) return;
  OrtStatus* status = ORT(api, GetAllocatorWithDefaultOptions)(&allocator);
  if (!status) status = ORT(api, AllocatorFree)(allocator, b);
  if (status) ORT(api, ReleaseStatus)(status);
}

OrtStatus* scratch_take(runtime* of, size_t bytes, scratch* out) {
  const OrtApi* api = of->api;
  *out = (scratch){NULL, NULL};
  if (!bytes) return NULL;
  block* b = __atomic_exchange_n(&of->spare, NULL, __ATOMIC_ACQ_REL);
  if (b && b->bytes < bytes) {
    release(api, b);
    b = NULL;
  }
  if (!b) {
    OrtAllocator* allocator = NULL;
    void* memory = NULL;
    if (bytes > SIZE_MAX / 2) return ORT(api, CreateStatus)(ORT_FAIL, "chita.edge: a size overflows");
    OrtStatus* status = ORT(api, GetAllocatorWithDefaultOptions)(&allocator);
    if (!status) status = ORT(api, AllocatorAlloc)(allocator, bytes + 2 * ALIGNMENT, &memory);
    if (!status && !memory) status = ORT(api, CreateStatus)(ORT_FAIL, "chita.edge: out of memory");
    if (status) return status;
    b = memory;
    b->bytes = bytes;
  }
  const uintptr_t after = (uintptr_t)(b + 1);
  *out = (scratch){(void*)((after + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1)), b};
  return NULL;
}

void scratch_give(runtime* of, const scratch* used) {
  block* b = used->block;
  if (b && b->bytes <= MOST_KEPT) b = __atomic_exchange_n(&of->spare, b, __ATOMIC_ACQ_REL);
  release(of->api, b);
}
