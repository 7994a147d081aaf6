/* The part of ONNX Runtime's C ABI that this library and the device runner use, declared by the project itself.
 *
 * The ABI is append-only: a slot of OrtApi keeps its number and its signature for ever, so the pair (slot number,
 * signature) below is all there is to know. API_VERSION is the lowest version that has every slot used here but those
 * marked with a later one; an ONNX Runtime older than that answers GetApi with NULL and the library refuses to register. */
#ifndef CHITA_EDGE_ORT_ABI_H
#define CHITA_EDGE_ORT_ABI_H

#include <stddef.h>
#include <stdint.h>

#define ORT_API_VERSION 18 /* ONNX Runtime 1.18 */

typedef struct OrtAllocator OrtAllocator;
typedef struct OrtCustomOpDomain OrtCustomOpDomain;
typedef struct OrtEnv OrtEnv;
typedef struct OrtKernelContext OrtKernelContext;
typedef struct OrtKernelInfo OrtKernelInfo;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtShapeInferContext OrtShapeInferContext;
typedef struct OrtStatus OrtStatus;
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;
typedef struct OrtTypeInfo OrtTypeInfo;
typedef struct OrtValue OrtValue;

typedef void (*ort_any_fn)(void);
typedef struct OrtApi {
  ort_any_fn slots[1]; /* as many as the version has */
} OrtApi;
typedef struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)(void);
} OrtApiBase;

enum ort_error { ORT_FAIL = 1, ORT_INVALID_ARGUMENT = 2, ORT_NOT_IMPLEMENTED = 9, ORT_INVALID_GRAPH = 10 };
enum ort_type {
  ORT_UNDEFINED = 0,
  ORT_FLOAT = 1,
  ORT_UINT8 = 2,
  ORT_INT8 = 3,
  ORT_UINT16 = 4,
  ORT_INT32 = 6,
  ORT_INT64 = 7
};
enum { ORT_VARIADIC = 2 }; /* a characteristic of an input; 0: it is required */
enum { ORT_CPU_ARENA = 1, ORT_MEM_DEFAULT = 0, ORT_LOG_WARNING = 2, ORT_OPTIMISE_ALL = 99 };

/* X(slot number, name, result, parameters). */
#define ORT_SLOTS(X)                                                                                            \
  X(0, CreateStatus, OrtStatus*, (int code, const char* message))                                               \
  X(2, GetErrorMessage, const char*, (const OrtStatus*))                                                        \
  X(3, CreateEnv, OrtStatus*, (int log_level, const char* log_id, OrtEnv**))                                    \
  X(6, DisableTelemetryEvents, OrtStatus*, (const OrtEnv*))                                                     \
  X(7, CreateSession, OrtStatus*, (const OrtEnv*, const char* path, const OrtSessionOptions*, OrtSession**))    \
  X(9, Run, OrtStatus*,                                                                                         \
    (OrtSession*, const OrtRunOptions*, const char* const* in_names, const OrtValue* const* in, size_t n_in,    \
     const char* const* out_names, size_t n_out, OrtValue** out))                                               \
  X(10, CreateSessionOptions, OrtStatus*, (OrtSessionOptions**))                                                \
  X(14, EnableProfiling, OrtStatus*, (OrtSessionOptions*, const char* prefix))                                  \
  X(23, SetSessionGraphOptimizationLevel, OrtStatus*, (OrtSessionOptions*, int level))                          \
  X(24, SetIntraOpNumThreads, OrtStatus*, (OrtSessionOptions*, int))                                            \
  X(25, SetInterOpNumThreads, OrtStatus*, (OrtSessionOptions*, int))                                            \
  X(26, CreateCustomOpDomain, OrtStatus*, (const char* domain, OrtCustomOpDomain**))                            \
  X(27, CustomOpDomain_Add, OrtStatus*, (OrtCustomOpDomain*, const OrtCustomOp*))                               \
  X(28, AddCustomOpDomain, OrtStatus*, (OrtSessionOptions*, OrtCustomOpDomain*))                                \
  X(36, SessionGetInputName, OrtStatus*, (const OrtSession*, size_t, OrtAllocator*, char**))                    \
  X(37, SessionGetOutputName, OrtStatus*, (const OrtSession*, size_t, OrtAllocator*, char**))                   \
  X(49, CreateTensorWithDataAsOrtValue, OrtStatus*,                                                             \
    (const OrtMemoryInfo*, void* data, size_t bytes, const int64_t* dims, size_t rank, int type, OrtValue**))   \
  X(51, GetTensorMutableData, OrtStatus*, (OrtValue*, void**))                                                  \
  X(60, GetTensorElementType, OrtStatus*, (const OrtTensorTypeAndShapeInfo*, int*))                             \
  X(61, GetDimensionsCount, OrtStatus*, (const OrtTensorTypeAndShapeInfo*, size_t*))                            \
  X(62, GetDimensions, OrtStatus*, (const OrtTensorTypeAndShapeInfo*, int64_t*, size_t))                        \
  X(65, GetTensorTypeAndShape, OrtStatus*, (const OrtValue*, OrtTensorTypeAndShapeInfo**))                      \
  X(69, CreateCpuMemoryInfo, OrtStatus*, (int allocator_type, int memory_type, OrtMemoryInfo**))                \
  X(75, AllocatorAlloc, OrtStatus*, (OrtAllocator*, size_t, void**))                                            \
  X(76, AllocatorFree, OrtStatus*, (OrtAllocator*, void*))                                                      \
  X(77, AllocatorGetInfo, OrtStatus*, (const OrtAllocator*, const OrtMemoryInfo**))                             \
  X(78, GetAllocatorWithDefaultOptions, OrtStatus*, (OrtAllocator**))                                           \
  X(85, KernelInfoGetAttribute_float, OrtStatus*, (const OrtKernelInfo*, const char* name, float*))             \
  X(86, KernelInfoGetAttribute_int64, OrtStatus*, (const OrtKernelInfo*, const char* name, int64_t*))           \
  X(87, KernelInfoGetAttribute_string, OrtStatus*, (const OrtKernelInfo*, const char* name, char*, size_t*))    \
  X(90, KernelContext_GetInput, OrtStatus*, (const OrtKernelContext*, size_t, const OrtValue**))                \
  X(91, KernelContext_GetOutput, OrtStatus*, (OrtKernelContext*, size_t, const int64_t*, size_t, OrtValue**))   \
  X(92, ReleaseEnv, void, (OrtEnv*))                                                                            \
  X(93, ReleaseStatus, void, (OrtStatus*))                                                                      \
  X(94, ReleaseMemoryInfo, void, (OrtMemoryInfo*))                                                              \
  X(95, ReleaseSession, void, (OrtSession*))                                                                    \
  X(96, ReleaseValue, void, (OrtValue*))                                                                        \
  X(99, ReleaseTensorTypeAndShapeInfo, void, (OrtTensorTypeAndShapeInfo*))                                      \
  X(100, ReleaseSessionOptions, void, (OrtSessionOptions*))                                                     \
  X(101, ReleaseCustomOpDomain, void, (OrtCustomOpDomain*))                                                     \
  X(110, SessionEndProfiling, OrtStatus*, (OrtSession*, OrtAllocator*, char** file))                            \
  X(130, AddSessionConfigEntry, OrtStatus*, (OrtSessionOptions*, const char* key, const char* value))           \
  X(132, ReleaseAllocator, void, (OrtAllocator*))                                                               \
  X(162, KernelInfoGetAttributeArray_float, OrtStatus*, (const OrtKernelInfo*, const char*, float*, size_t*))   \
  X(163, KernelInfoGetAttributeArray_int64, OrtStatus*, (const OrtKernelInfo*, const char*, int64_t*, size_t*)) \
  X(228, RegisterCustomOpsLibrary_V2, OrtStatus*, (OrtSessionOptions*, const char* path))                       \
  X(229, RegisterCustomOpsUsingFunction, OrtStatus*, (OrtSessionOptions*, const char* function))                \
  X(230, KernelInfo_GetInputCount, OrtStatus*, (const OrtKernelInfo*, size_t*))                                 \
  X(237, HasSessionConfigEntry, OrtStatus*, (const OrtSessionOptions*, const char* key, int*))                  \
  X(238, GetSessionConfigEntry, OrtStatus*, (const OrtSessionOptions*, const char* key, char*, size_t*))        \
  X(244, KernelInfo_GetNodeName, OrtStatus*, (const OrtKernelInfo*, char*, size_t*))                            \
  X(249, KernelInfoGetConstantInput_tensor, OrtStatus*,                                                         \
    (const OrtKernelInfo*, size_t index, int* is_constant, const OrtValue**))                                   \
  X(267, ShapeInferContext_GetInputCount, OrtStatus*, (const OrtShapeInferContext*, size_t*))                   \
  X(268, ShapeInferContext_GetInputTypeShape, OrtStatus*,                                                       \
    (const OrtShapeInferContext*, size_t, OrtTensorTypeAndShapeInfo**))                                         \
  X(274, KernelContext_ParallelFor, OrtStatus*,                                                                 \
    (const OrtKernelContext*, void (*fn)(void*, size_t), size_t total, size_t num_batch, void* user))           \
  X(278, KernelInfoGetAllocator, OrtStatus*, (const OrtKernelInfo*, int memory_type, OrtAllocator**))           \
  X(414, GetTensorElementTypeAndShapeDataReference, OrtStatus*, /* from 1.24 on */                              \
    (const OrtValue*, int* type, const int64_t** dims, size_t* rank))

/* A custom op: 26 pointer-sized members, most of them optional (NULL). */
typedef struct OrtCustomOp OrtCustomOp;
struct OrtCustomOp {
  uint32_t version;
  void* (*CreateKernel)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*);
  const char* (*GetName)(const OrtCustomOp*);
  const char* (*GetExecutionProviderType)(const OrtCustomOp*);
  int (*GetInputType)(const OrtCustomOp*, size_t);
  size_t (*GetInputTypeCount)(const OrtCustomOp*);
  int (*GetOutputType)(const OrtCustomOp*, size_t);
  size_t (*GetOutputTypeCount)(const OrtCustomOp*);
  void (*KernelCompute)(void*, OrtKernelContext*);
  void (*KernelDestroy)(void*);
  int (*GetInputCharacteristic)(const OrtCustomOp*, size_t);
  int (*GetOutputCharacteristic)(const OrtCustomOp*, size_t);
  int (*GetInputMemoryType)(const OrtCustomOp*, size_t);
  int (*GetVariadicInputMinArity)(const OrtCustomOp*);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp*);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp*);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp*);
  OrtStatus* (*CreateKernelV2)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*, void**);
  OrtStatus* (*KernelComputeV2)(void*, OrtKernelContext*);
  OrtStatus* (*InferOutputShapeFn)(const OrtCustomOp*, OrtShapeInferContext*);
  int (*GetStartVersion)(const OrtCustomOp*);
  int (*GetEndVersion)(const OrtCustomOp*);
  size_t (*GetMayInplace)(int**, int**);
  void (*ReleaseMayInplace)(int*, int*);
  size_t (*GetAliasMap)(int**, int**);
  void (*ReleaseAliasMap)(int*, int*);
};
_Static_assert(sizeof(void*) != 8 || sizeof(OrtCustomOp) == 208, "the layout of OrtCustomOp is part of the ABI");

#define ORT_DECLARE_SLOT(number, name, result, parameters) typedef result(*ort_fn_##name) parameters;
ORT_SLOTS(ORT_DECLARE_SLOT)
#undef ORT_DECLARE_SLOT
#define ORT_NUMBER_SLOT(number, name, result, parameters) ort_slot_##name = (number),
enum ort_slot { ORT_SLOTS(ORT_NUMBER_SLOT) };
#undef ORT_NUMBER_SLOT

/* ORT(api, Run)(session, …) calls a slot. */
#define ORT(api, name) ((ort_fn_##name)(api)->slots[ort_slot_##name])

#endif
