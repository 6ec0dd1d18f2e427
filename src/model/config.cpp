#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <span>
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

// How many times longer a context gets. Less than once is a factor that was written upside down.
Result<void> check_stretch(double factor) {
    constexpr double kStretchMax = 1 << 20;
    if (!(factor >= 1 && factor <= kStretchMax)) {
        return data_corrupt("the rope scaling factor is {}; 1 to {} are allowed", factor,
                            kStretchMax);
    }
    return {};
}

Result<void> check_divisors(std::span<const float> divisors, uint32_t rotary_dim) {
    if (!divisors.empty() && divisors.size() != rotary_dim / 2) {
        return data_corrupt("{} longrope factors for {} rotated dimensions", divisors.size(),
                            rotary_dim);
    }
    for (const float divisor : divisors) {
        WEIR_TRY(check_factor("a longrope factor", double{divisor}));
    }
    return {};
}

Result<void> check_scaling(const RopeScaling& scaling, uint32_t rotary_dim) {
    if (const auto* linear = std::get_if<LinearScaling>(&scaling)) {
        return check_stretch(linear->factor);
    }
    if (const auto* llama3 = std::get_if<Llama3Scaling>(&scaling)) {
        WEIR_TRY(check_stretch(llama3->factor));
        WEIR_TRY(check_factor("low_freq_factor", llama3->low_freq_factor));
        WEIR_TRY(check_factor("high_freq_factor", llama3->high_freq_factor));
        if (llama3->high_freq_factor < llama3->low_freq_factor) {
            return data_corrupt("high_freq_factor is below low_freq_factor");
        }
        return check_size("the original context length", llama3->original_context, kContextMax);
    }
    if (const auto* yarn = std::get_if<YarnScaling>(&scaling)) {
        WEIR_TRY(check_stretch(yarn->factor));
        WEIR_TRY(check_factor("beta_fast", yarn->beta_fast));
        WEIR_TRY(check_factor("beta_slow", yarn->beta_slow));
        if (yarn->beta_fast < yarn->beta_slow) {
            return data_corrupt("beta_fast is {}, below the beta_slow of {}", yarn->beta_fast,
                                yarn->beta_slow);
        }
        WEIR_TRY(check_factor("the rope attention factor", yarn->attention_factor));
        return check_size("the original context length", yarn->original_context, kContextMax);
    }
    if (const auto* longrope = std::get_if<LongropeScaling>(&scaling)) {
        WEIR_TRY(check_factor("the rope attention factor", longrope->attention_factor));
        WEIR_TRY(check_divisors(longrope->short_divisors, rotary_dim));
        WEIR_TRY(check_divisors(longrope->long_divisors, rotary_dim));
        return check_size("the original context length", longrope->original_context, kContextMax);
    }
    if (const auto* proportional = std::get_if<ProportionalScaling>(&scaling)) {
        WEIR_TRY(check_stretch(proportional->factor));
        if (!(proportional->part > 0 && proportional->part <= 1)) {
            return data_corrupt("{} of a head's pairs are rotated", proportional->part);
        }
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
    return check_scaling(rope.scaling, rope.rotary_dim);
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

void TransformerConfig::make_layers() {
    layer.assign(
        layers,
        LayerConfig{.kv_heads = kv_heads, .head_dim = head_dim, .feed_forward = feed_forward});
}

void TransformerConfig::set_rope_pairs(kernels::RopePairs pairs) {
    for (RopeConfig& rope : ropes) {
        rope.pairs = pairs;
    }
}

Result<void> DeltaNetConfig::validate(uint32_t layer_count) const {
    WEIR_TRY(
        check_size("linear_conv_kernel_dim (ssm.conv_kernel)", taps, kernels::kConvolutionTapsMax));
    WEIR_TRY(check_size("linear_num_key_heads (ssm.group_count)", key_heads, kHeadsMax));
    WEIR_TRY(check_size("linear_num_value_heads (ssm.time_step_rank)", value_heads, kHeadsMax));
    WEIR_TRY(check_size("linear_key_head_dim (ssm.state_size)", key_dim, kHeadDimMax));
    WEIR_TRY(check_size("linear_value_head_dim", value_dim, kHeadDimMax));
    if (value_heads % key_heads != 0) {
        return data_corrupt("linear_num_value_heads: {} cannot share {} key heads", value_heads,
                            key_heads);
    }
    if (layers.size() != layer_count) {
        return data_corrupt("{} kinds of layers for {} layers", layers.size(), layer_count);
    }
    return {};
}

namespace {

Result<void> check_layer(const TransformerConfig& config, const LayerConfig& layer) {
    WEIR_TRY(check_size("the feed-forward size", layer.feed_forward, kFeedForwardMax));
    WEIR_TRY(check_size("the number of KV heads", layer.kv_heads, kHeadsMax));
    WEIR_TRY(check_size("the head size", layer.head_dim, kHeadDimMax));
    if (config.heads % layer.kv_heads != 0) {
        return data_corrupt("{} heads cannot share {} KV heads", config.heads, layer.kv_heads);
    }
    if (layer.head_dim % 2 != 0) {
        return unsupported("the head size is {}, which is odd", layer.head_dim);
    }
    if (layer.visible.sight != Sight::All) {
        WEIR_TRY(check_size("a sliding window", layer.visible.tokens, kContextMax));
    }
    if (layer.kv_of) {
        const size_t self = static_cast<size_t>(&layer - config.layer.data());
        const bool possible = *layer.kv_of < self && !config.layer[*layer.kv_of].kv_of &&
                              config.layer[*layer.kv_of].head_dim == layer.head_dim &&
                              config.layer[*layer.kv_of].kv_heads == layer.kv_heads;
        if (!possible) {
            return data_corrupt("layer {} cannot share the keys of layer {}", self, *layer.kv_of);
        }
    }
    if (layer.rope) {
        if (*layer.rope >= config.ropes.size()) {
            return data_corrupt("a layer with rope parameters that do not exist");
        }
        return check_rope(config.ropes[*layer.rope], layer.head_dim);
    }
    return {};
}

Result<void> check_multipliers(const TransformerConfig& config) {
    const double factors[] = {config.embedding_scale, double{config.residual_scale},
                              double{config.logit_scale}};
    for (const double factor : factors) {
        if (!(factor > 0 && factor <= 1e9)) {
            return data_corrupt("{} is no usable multiplier", factor);
        }
    }
    const double positive[] = {config.attention_scale, double{config.attention_soft_cap},
                               double{config.logit_soft_cap}};
    for (const double factor : positive) {
        if (!std::isfinite(factor) || factor < 0 || factor > 1e9) {
            return data_corrupt("{} is no usable scale or soft cap", factor);
        }
    }
    if (config.temperature) {
        WEIR_TRY(check_size("the temperature's length", config.temperature->length, kContextMax));
        if (!std::isfinite(config.temperature->beta) || std::fabs(config.temperature->beta) > 1e6) {
            return data_corrupt("the temperature's scale is {}", config.temperature->beta);
        }
    }
    return {};
}

}  // namespace

Result<void> TransformerConfig::validate() const {
    WEIR_TRY(check_size("the number of layers", layers, kLayersMax));
    WEIR_TRY(check_size("the hidden size", hidden, kHiddenMax));
    WEIR_TRY(check_size("the number of heads", heads, kHeadsMax));
    WEIR_TRY(check_size("the vocabulary", vocabulary, kVocabularyMax));
    WEIR_TRY(check_size("the context length", context_tokens, kContextMax));
    WEIR_TRY(check_size("the head size", head_dim, kHeadDimMax));
    WEIR_TRY(check_size("the number of KV heads", kv_heads, kHeadsMax));
    WEIR_TRY(check_size("the feed-forward size", feed_forward, kFeedForwardMax));
    if (!(norm_epsilon > 0 && norm_epsilon <= 1)) {
        return data_corrupt("the norm's epsilon is {}, which is not above 0 and up to 1",
                            norm_epsilon);
    }
    WEIR_TRY(check_multipliers(*this));
    if (per_layer_width > kHiddenMax) {
        return data_corrupt("an input of {} numbers a layer", per_layer_width);
    }
    if (layer.size() != layers) {
        return data_corrupt("{} layers, but the shapes of {}", layers, layer.size());
    }
    for (const LayerConfig& one : layer) {
        WEIR_TRY(check_layer(*this, one));
    }
    for (const RopeConfig& rope : ropes) {  // those of no layer too: a decoder makes them all
        WEIR_TRY(check_rope(rope, kHeadDimMax));
    }
    if (delta_net) {
        WEIR_TRY(delta_net->validate(layers));
    }
    if (token_types > kTokenTypesMax) {
        return data_corrupt("{} types of tokens", token_types);
    }
    if (draft_layers > kLayersMax) {
        return data_corrupt("{} layers for drafting", draft_layers);
    }
    WEIR_TRY(moe ? moe->validate(layers) : Result<void>());
    WEIR_TRY(latent ? latent->validate() : Result<void>());
    return {};
}

}  // namespace weir::model
