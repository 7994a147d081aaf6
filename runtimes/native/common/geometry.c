#include "common/geometry.h"

void ce_conv_output(const ce_conv_geometry *geometry, ce_shape shape, int64_t *out_h, int64_t *out_w) {
  *out_h = ce_out_h(geometry, shape);
  *out_w = ce_out_w(geometry, shape);
}
