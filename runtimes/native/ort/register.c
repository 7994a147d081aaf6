/* RegisterCustomOps, the symbol that ONNX Runtime looks for, and ChitaEdgeRegisterCustomOps, the same under a name that
 * no other library of an app has.
 *
 * A session's options may hold `chita_edge.intra_op_threads` (the size of its intra-op pool, which ONNX Runtime does not
 * tell a kernel) and `chita_edge.isa` (the best instruction set to use). Each pair of values has one domain, made by the
 * ONNX Runtime whose session it is, for the life of the process; the library is linked so that it is never unloaded, and
 * nothing is allocated per session. */
#include "kernel.h"

#define ASSUMED_THREADS 4 /* without the entry: the work is cut for the big cores of a phone; one thread does it as well */
#define MAX_THREADS 256
#define MAX_REGISTRATIONS 64
#define MAX_RUNTIMES 8

struct registration;
typedef struct registered_op {
  OrtCustomOp abi; /* first: ONNX Runtime hands its address back */
  const op* op;
  const settings* settings;
} registered_op;

typedef struct registration {
  settings settings;
  OrtCustomOpDomain* domain;
  registered_op ops[OP_COUNT];
} registration;

static runtime runtimes[MAX_RUNTIMES];
static int runtime_count;
static registration registrations[MAX_REGISTRATIONS];
static int registration_count;

static const op* op_of(const OrtCustomOp* self) { return ((const registered_op*)self)->op; }
static const char* get_name(const OrtCustomOp* self) { return op_of(self)->name; }
static const char* get_provider(const OrtCustomOp* self) { return (void)self, "CPUExecutionProvider"; }
/* X, and all others as one variadic input of any types. Each input that may have several types makes every session that
 * registers the op slower to create, and what is wrong with one is said in better words where it is read. */
static size_t input_count(const OrtCustomOp* self) { return op_of(self)->inputs == 1 ? 1 : 2; }
static int input_type(const OrtCustomOp* self, size_t i) { return (void)self, i ? ORT_UNDEFINED : ORT_FLOAT; }
static int input_characteristic(const OrtCustomOp* self, size_t i) { return (void)self, i ? ORT_VARIADIC : 0; }
static int output_type(const OrtCustomOp* self, size_t i) { return (void)self, (void)i, ORT_FLOAT; }
static size_t output_count(const OrtCustomOp* self) { return (void)self, 1; }
static int zero_of_index(const OrtCustomOp* self, size_t i) { return (void)self, (void)i, 0; }
static int zero(const OrtCustomOp* self) { return (void)self, 0; }
static int one(const OrtCustomOp* self) { return (void)self, 1; }
static OrtStatus* create(const OrtCustomOp* self, const OrtApi* api, const OrtKernelInfo* info, void** kernel) {
  return kernel_create(op_of(self), ((const registered_op*)self)->settings, api, info, kernel);
}

static const OrtCustomOp abi_of_all = {
    .version = ORT_API_VERSION,
    .GetName = get_name,
    .GetExecutionProviderType = get_provider,
    .GetInputType = input_type,
    .GetInputTypeCount = input_count,
    .GetOutputType = output_type,
    .GetOutputTypeCount = output_count,
    .KernelDestroy = kernel_destroy,
    .GetInputCharacteristic = input_characteristic,
    .GetOutputCharacteristic = zero_of_index,
    .GetInputMemoryType = zero_of_index,
    .GetVariadicInputMinArity = one,
    .GetVariadicInputHomogeneity = zero,
    .GetVariadicOutputMinArity = zero,
    .GetVariadicOutputHomogeneity = zero,
    .CreateKernelV2 = create,
    .KernelComputeV2 = kernel_compute,
    .GetStartVersion = one,
    .GetEndVersion = one,
};

/* The value of a session's config entry: an empty string when there is none. */
static OrtStatus* config_entry(const OrtApi* api, const OrtSessionOptions* options, const char* key, char value[32]) {
  int present = 0;
  size_t size = 32;
  value[0] = '\0';
  OrtStatus* status = ORT(api, HasSessionConfigEntry)(options, key, &present);
  if (status || !present) return status;
  return ORT(api, GetSessionConfigEntry)(options, key, value, &size);
}

static int same(const char* a, const char* b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

static OrtStatus* read_settings(const OrtApi* api, const OrtSessionOptions* options, settings* out) {
  static const struct {
    const char* name;
    int isa;
  } isas[] = {{"", CE_ISA_best},
#define CE_LISTED_ISA(name, number) {#name, number},
#include "../isas.inc"
#undef CE_LISTED_ISA
  };
  char value[32];
  OrtStatus* status = config_entry(api, options, "chita_edge.intra_op_threads", value);
  if (status) return status;
  out->threads = value[0] ? 0 : ASSUMED_THREADS;
  for (const char* digit = value; *digit; digit++) {
    out->threads = *digit < '0' || *digit > '9' ? MAX_THREADS + 1 : out->threads * 10 + (*digit - '0');
    if (out->threads > MAX_THREADS) break;
  }
  if (out->threads < 1 || out->threads > MAX_THREADS)
    return ORT(api, CreateStatus)(ORT_INVALID_ARGUMENT, "chita_edge.intra_op_threads must be a number from 1 to 256");
  status = config_entry(api, options, "chita_edge.isa", value);
  if (status) return status;
  for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++)
    if (same(isas[i].name, value)) return out->isa = isas[i].isa, NULL;
  return ORT(api, CreateStatus)(ORT_INVALID_ARGUMENT,
                                "chita_edge.isa must be one of"
#define CE_LISTED_ISA(name, number) " " #name
#include "../isas.inc"
#undef CE_LISTED_ISA
  );
}

static OrtStatus* fill(const OrtApi* api, const settings* wanted, registration* entry) {
  entry->settings = *wanted;
  OrtCustomOpDomain* domain = NULL;
  OrtStatus* status = ORT(api, CreateCustomOpDomain)("chita.edge", &domain);
  for (int i = 0; i < OP_COUNT && !status; i++) {
    entry->ops[i] = (registered_op){abi_of_all, &ops[i], &entry->settings};
    status = ORT(api, CustomOpDomain_Add)(domain, &entry->ops[i].abi);
  }
  if (status && domain) ORT(api, ReleaseCustomOpDomain)(domain);
  entry->domain = domain;
  return status;
}

static OrtStatus* find_domain(const OrtApi* api, const settings* wanted, OrtCustomOpDomain** out) {
  for (int i = 0; i < registration_count; i++) {
    const settings* s = &registrations[i].settings;
    if (s->runtime == wanted->runtime && s->threads == wanted->threads && s->isa == wanted->isa)
      return *out = registrations[i].domain, NULL;
  }
  if (registration_count == MAX_REGISTRATIONS)
    return ORT(api, CreateStatus)(ORT_FAIL, "chita.edge: more than 64 different settings in one process");
  registration* entry = &registrations[registration_count];
  OrtStatus* status = fill(api, wanted, entry);
  if (status) return status;
  registration_count++;
  *out = entry->domain;
  return NULL;
}

/* Whether the version, as in "1.24.0", is at least 1.minor. */
static int is_at_least(const char* version, int minor) {
  int parts[2] = {0, 0}, part = 0;
  for (; *version && part < 2; version++) {
    if (*version == '.') part++;
    else if (*version < '0' || *version > '9' || parts[part] > 9999) return 0;
    else parts[part] = parts[part] * 10 + (*version - '0');
  }
  return parts[0] > 1 || (parts[0] == 1 && parts[1] >= minor);
}

/* The one with this table of functions, and of this version: another one may be loaded where an older one was. */
static OrtStatus* find_runtime(const OrtApi* api, int shape_references, runtime** out) {
  for (int i = 0; i < runtime_count; i++)
    if (runtimes[i].api == api && runtimes[i].shape_references == shape_references) return *out = &runtimes[i], NULL;
  if (runtime_count == MAX_RUNTIMES)
    return ORT(api, CreateStatus)(ORT_FAIL, "chita.edge: more than 8 ONNX Runtimes in one process");
  runtimes[runtime_count] = (runtime){.api = api, .shape_references = shape_references};
  *out = &runtimes[runtime_count++];
  return NULL;
}

CE_EXPORT OrtStatus* ChitaEdgeRegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base);
OrtStatus* ChitaEdgeRegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(ORT_API_VERSION);
  if (!api) return ORT(base->GetApi(1), CreateStatus)(ORT_FAIL, "chita.edge needs ONNX Runtime 1.18 or newer");
  settings wanted;
  OrtStatus* status = read_settings(api, options, &wanted);
  if (status) return status;
  static int busy;
  OrtCustomOpDomain* domain = NULL;
  while (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE)) continue;
  status = find_runtime(api, is_at_least(base->GetVersionString(), 24), &wanted.runtime);
  if (!status) status = find_domain(api, &wanted, &domain);
  __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
  return status ? status : ORT(api, AddCustomOpDomain)(options, domain);
}

/* Weak: where an app links several vendors' libraries statically, each has a function of this name. */
CE_EXPORT __attribute__((weak)) OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base);
OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  return ChitaEdgeRegisterCustomOps(options, base);
}
