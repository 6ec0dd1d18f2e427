#pragma once

#include "base/result.h"
#include "model/config.h"
#include "model/gguf_output.h"

namespace weir::model {

// Adds the keys that say `config` to a GGUF file's head, as llama.cpp's converters call them:
// general.architecture, general.name and everything under the architecture's prefix. What there is
// no key for is left out; read the head back and compare (same_config.h).
void add_config(const TransformerConfig& config, GgufHead& head);

}  // namespace weir::model
