#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "json/fields.h"
#include "model/config.h"

namespace weir::model {

// config.json of one family, or the part of it that describes the decoder.
class JsonConfig {
  public:
    JsonConfig(const json::Object& object, std::string path)
        : object_(object), fields_(object, std::move(path)) {}

    json::Fields& fields() { return fields_; }
    bool has(std::string_view name) { return fields_.get(name) != nullptr; }

    Result<std::optional<uint32_t>> size(std::string_view name);  // up to 2^32 - 1
    Result<uint32_t> require_size(std::string_view name);
    Result<bool> flag(std::string_view name);  // absent: false

    // `sliding_window`: nothing where it is null or 0, `otherwise` where it is absent.
    Result<std::optional<uint32_t>> window(std::optional<uint32_t> otherwise);

    // Sets layer_windows from `window` for the layers that `layer_types` calls sliding; without
    // that list for all layers from `first_layer` on. Without a window all layers see everything.
    Result<void> read_windows(std::optional<uint32_t> window, uint32_t first_layer,
                              TransformerConfig& out);

    // The same for families that switch windows on by use_sliding_window, from max_window_layers
    // on. Absent keys have the values of Hugging Face's classes for Qwen: off, 4096 and 28.
    Result<void> read_switched_windows(TransformerConfig& out);

    // What the classes of Mistral and Qwen have for a window that the file does not mention.
    static constexpr uint32_t kWindowDefault = 4096;

  private:
    const json::Object& object_;
    json::Fields fields_;
};

}  // namespace weir::model
