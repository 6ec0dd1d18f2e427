#pragma once

#include <string_view>

#include "base/result.h"
#include "json/fields.h"
#include "model/config.h"

namespace weir::model {

// config.json of one family.
class JsonConfig {
  public:
    explicit JsonConfig(const json::Object& object) : fields_(object, "config.json") {}

    json::Fields& fields() { return fields_; }
    bool has(std::string_view name) { return fields_.get(name) != nullptr; }

    Result<std::optional<uint32_t>> size(std::string_view name);  // up to 2^32 - 1
    Result<uint32_t> require_size(std::string_view name);
    Result<bool> flag(std::string_view name);  // absent: false

    // Sets layer_windows from `window` for the layers that `layer_types` calls sliding; without
    // that list for all layers from `first_layer` on. Without a window all layers see everything.
    Result<void> read_windows(std::optional<uint32_t> window, uint32_t first_layer,
                              TransformerConfig& out);

    // The same for families that switch windows on by use_sliding_window, from max_window_layers
    // on.
    Result<void> read_switched_windows(TransformerConfig& out);

  private:
    json::Fields fields_;
};

}  // namespace weir::model
