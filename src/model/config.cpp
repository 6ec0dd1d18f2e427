#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace weir::model {

namespace {

Result<void> check_size(std::string_view name, uint64_t value, uint64_t max) {
    if (value == 0 || value > max) {
        return data_corrupt("{} is {}; 1 to {} are allowed", name, value, max);
    }
    return {};
}

Result<void> check_factor(std::string_view name, double value) {
    if (!std::isfinite(value) || value <= 0 || value > 1e9) {
        return data_corrupt("{} is {}, which is no usable factor", name, value);
    }
    return {};
}

Result<void> check_scaling(const RopeScaling& scaling) {
    if (const auto* linear = std::get_if<LinearScaling>(&scaling)) {
        return check_factor("the rope scaling factor", linear->factor);
    }
    if (const auto* llama3 = std::get_if<Llama3Scaling>(&scaling)) {
        WEIR_TRY(check_factor("the rope scaling factor", llama3->factor));
        WEIR_TRY(check_factor("low_freq_factor", llama3->low_freq_factor));
        WEIR_TRY(check_factor("high_freq_factor", llama3->high_freq_factor));
        if (llama3->high_freq_factor < llama3->low_freq_factor) {
            return data_corrupt("high_freq_factor is below low_freq_factor");
        }
        return check_size("the original context length", llama3->original_context, kContextMax);
    }
    if (const auto* yarn = std::get_if<YarnScaling>(&scaling)) {
        WEIR_TRY(check_factor("the rope scaling factor", yarn->factor));
        WEIR_TRY(check_factor("beta_fast", yarn->beta_fast));
        WEIR_TRY(check_factor("beta_slow", yarn->beta_slow));
        WEIR_TRY(check_factor("the rope attention factor", yarn->attention_factor));
        return check_size("the original context length", yarn->original_context, kContextMax);
    }
    return {};
}

Result<void> check_rope(const RopeConfig& rope, uint32_t head_dim) {
    if (!std::isfinite(rope.theta) || rope.theta <= 1 || rope.theta > 1e15) {
        return data_corrupt("the rope base is {}", rope.theta);
    }
    if (rope.rotary_dim == 0 || rope.rotary_dim % 2 != 0 || rope.rotary_dim > head_dim) {
        return data_corrupt("{} rotated dimensions in a head of {}", rope.rotary_dim, head_dim);
    }
    return check_scaling(rope.scaling);
}

}  // namespace

uint32_t context_reached(uint32_t context_tokens, const RopeScaling& scaling) {
    const auto* yarn = std::get_if<YarnScaling>(&scaling);
    if (yarn == nullptr) {
        return context_tokens;
    }
    const double reached = std::min<double>(kContextMax, yarn->original_context * yarn->factor);
    return reached > context_tokens ? static_cast<uint32_t>(reached) : context_tokens;
}

Result<void> TransformerConfig::validate() const {
    WEIR_TRY(check_size("the number of layers", layers, kLayersMax));
    WEIR_TRY(check_size("the hidden size", hidden, kHiddenMax));
    WEIR_TRY(check_size("the feed-forward size", feed_forward, kFeedForwardMax));
    WEIR_TRY(check_size("the number of heads", heads, kHeadsMax));
    WEIR_TRY(check_size("the number of KV heads", kv_heads, kHeadsMax));
    WEIR_TRY(check_size("the head size", head_dim, kHeadDimMax));
    WEIR_TRY(check_size("the vocabulary", vocabulary, kVocabularyMax));
    WEIR_TRY(check_size("the context length", context_tokens, kContextMax));
    if (heads % kv_heads != 0) {
        return data_corrupt("{} heads cannot share {} KV heads", heads, kv_heads);
    }
    if (head_dim % 2 != 0) {
        return unsupported("the head size is {}, which is odd", head_dim);
    }
    if (!std::isfinite(norm_epsilon) || norm_epsilon < 0 || norm_epsilon > 1) {
        return data_corrupt("the norm's epsilon is {}", norm_epsilon);
    }
    if (layer_windows.size() != layers) {
        return data_corrupt("{} layers, but windows for {}", layers, layer_windows.size());
    }
    for (const auto& window : layer_windows) {
        if (window) {
            WEIR_TRY(check_size("a sliding window", *window, kContextMax));
        }
    }
    return check_rope(rope, head_dim);
}

}  // namespace weir::model
