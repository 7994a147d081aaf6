#include "q_dims.h"

#include "../common/quantized.h"

#define MOST_BYTES 2147483647 /* of a value: the kernels' offsets fit int32 */

size_t q_value_bytes(const int64_t dims[4]) { return (size_t)ce_q_bytes(dims[0], dims[1], dims[2], dims[3]); }

static OrtStatus* check_bytes(const label* who, const int64_t dims[4]) {
  /* Each product stays below 2^63: what was counted before is below 2^31, and so are batch and channels. */
  const int64_t plane = ce_q_plane(dims[2], dims[3]), groups = ce_q_groups(dims[1]);
  if (plane > MOST_BYTES || plane * groups > MOST_BYTES || (dims[0] > 0 && plane * groups > MOST_BYTES / dims[0]))
    return refuse(who, "its %d channels of %d by %d pixels take more than 2^31 bytes", dims[1], dims[2], dims[3]);
  return NULL;
}

static OrtStatus* check_second(const label* who, const stage* s, const int64_t second[4], const int64_t out[4]) {
  for (int i = 0; i < 4; i++) {
    const int64_t wanted = s->op->dims == DIMS_SCALED && i > 1 ? 1 : out[i];
    if (second[i] != wanted)
      return refuse(who, "dimension %d of the second value that it reads is %d, %d is needed", (int64_t)i, second[i], wanted);
  }
  return NULL;
}

OrtStatus* q_stage_dims(const label* who, const stage* s, const int64_t in[4], const int64_t* second, ce_shape* shape,
                        int64_t out[4]) {
  const enum op_dims rule = s->op->dims;
  ce_conv_geometry g = s->geometries[0];
  if (rule == DIMS_SAME || rule == DIMS_SCALED || rule == DIMS_MEAN) g = (ce_conv_geometry){0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1};
  if (rule != DIMS_LAYER && rule != DIMS_VECTOR) {
    if (in[1] < 1 || in[1] > MAX_ELEMENTS) return refuse(who, "its input has %d channels", in[1]);
    g.in_channels = g.out_channels = (int32_t)in[1];
  }
  if (rule == DIMS_VECTOR && (in[2] != 1 || in[3] != 1))
    return refuse(who, "its input has %d by %d pixels, a linear layer takes one", in[2], in[3]);
  OrtStatus* status = layer_dims(who, &g, 4, in, shape, out);
  if (!status && rule == DIMS_MEAN) {
    if (in[2] * in[3] > INT32_MAX / 255) return refuse(who, "its input of %d by %d pixels is too large", in[2], in[3]);
    out[2] = out[3] = 1;
  }
  shape->c = in[1];
  if (!status) status = check_bytes(who, in);
  if (!status) status = check_bytes(who, out);
  if (!status && second) status = check_second(who, s, second, out);
  return status;
}
