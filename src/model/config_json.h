#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "json/fields.h"
#include "model/config.h"
#include "model/rope_json.h"

namespace weir::model {

// config.json of one family, or the part of it that describes the decoder.
class JsonConfig {
  public:
    JsonConfig(const json::Object& object, std::string path)
        : object_(object), fields_(object, std::move(path)) {}

    json::Fields& fields() { return fields_; }
    bool has(std::string_view name) { return fields_.get(name) != nullptr; }
    bool mentions(std::string_view name) const { return object_.find(name) != nullptr; }  // or null

    Result<std::optional<uint32_t>> size(std::string_view name);  // up to 2^32 - 1
    Result<uint32_t> require_size(std::string_view name);
    Result<uint32_t> require_size(std::string_view name, std::optional<uint32_t> otherwise);
    Result<bool> flag(std::string_view name);  // absent: false
    Result<bool> flag(std::string_view name, bool otherwise);
    Result<std::optional<double>> number(std::string_view name);  // finite
    // Null is nothing; `otherwise` is for a member that is not there.
    Result<std::optional<double>> number_or_null(std::string_view name, double otherwise);

    // `sliding_window`: nothing where it is null or 0, `otherwise` where it is absent.
    Result<std::optional<uint32_t>> window(std::optional<uint32_t> otherwise);

    // Which layers `layer_types` calls `wanted`; the others must be full_attention. Nothing: there
    // is no such list.
    Result<std::optional<std::vector<bool>>> layers_of_type(std::string_view wanted,
                                                            uint32_t layers);

    // Sets the layers' visibility: `window` for those that `layer_types` calls sliding; without
    // that list for all layers from `first_layer` on. Without a window all layers see everything.
    Result<void> read_windows(std::optional<uint32_t> window, uint32_t first_layer,
                              TransformerConfig& out);

    // The same for families in which every n-th layer sees everything and the others a window:
    // `layer_types`, else `sliding_window_pattern` n, else n = `pattern`.
    Result<void> read_window_pattern(std::optional<uint32_t> window, uint32_t pattern,
                                     TransformerConfig& out);

    // The same for families that switch windows on by use_sliding_window, from max_window_layers
    // on. Absent keys have the values of Hugging Face's classes for Qwen: off, 4096 and 28.
    Result<void> read_switched_windows(TransformerConfig& out);

    // What the classes of Mistral and Qwen have for a window that the file does not mention.
    static constexpr uint32_t kWindowDefault = 4096;

    // The one rope of all layers, as read. A family that takes a part of it says so, else
    // anything but the default is refused: the part of a head that is rotated (of which
    // take_rotary_part makes ropes[0].rotary_dim), and the temperature.
    Result<void> take_rotary_part(double otherwise, TransformerConfig& out);
    Result<void> take_temperature(TransformerConfig& out);
    // Whether the file has parameters by layer type: then ropes[0] is that of layers that see
    // everything and ropes[1] that of windowed ones, and nobody needs to set LayerConfig::rope.
    bool has_ropes_by_type() const { return sliding_rope_.has_value(); }

    // For the reader of the whole.
    Result<void> read_ropes(double theta, TransformerConfig& out);
    Result<void> finish_ropes(TransformerConfig& out) const;

  private:
    // A rope that was read, or that no layer has (null).
    using MaybeRope = std::optional<RopeJson>;

    Result<void> read_ropes_by_type(const json::Object& object, const std::string& path,
                                    const RopeJsonContext& context);

    const json::Object& object_;
    json::Fields fields_;
    MaybeRope rope_ = RopeJson();            // of all layers, or those that see everything
    std::optional<MaybeRope> sliding_rope_;  // of windowed layers, if they have another
    bool rotary_part_taken_ = false;
    bool temperature_taken_ = false;
};

}  // namespace weir::model
