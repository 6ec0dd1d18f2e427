#include "model/config_gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "model/family.h"
#include "model/rope.h"

namespace weir::model {

GgufConfig::GgufConfig(const GgufFile& file, std::string_view architecture)
    : file_(file), prefix_(fmt::format("{}.", architecture)) {}

std::string GgufConfig::key(std::string_view name) const {
    return prefix_ + std::string(name);
}

Result<std::optional<uint32_t>> GgufConfig::size(std::string_view name) {
    const std::string full = asked_.emplace_back(key(name));
    const GgufEntry* entry = file_.find(full);
    std::optional<uint64_t> value;
    if (entry != nullptr && entry->type == GgufValueType::Array) {
        WEIR_TRY_ASSIGN(const auto values, file_.find_unsigneds(full));
        if (values.empty() || std::ranges::count(values, values.front()) !=
                                  static_cast<std::ptrdiff_t>(values.size())) {
            return unsupported("key {}: layers of different shapes are not supported", full);
        }
        value = values.front();
    } else {
        WEIR_TRY_ASSIGN(value, file_.find_unsigned(full));
    }
    if (!value) {
        return std::nullopt;
    }
    if (*value > std::numeric_limits<uint32_t>::max()) {
        return data_corrupt("key {}: {} is too large", full, *value);
    }
    return static_cast<uint32_t>(*value);
}

bool GgufConfig::is_array(std::string_view name) const {
    const GgufEntry* entry = file_.find(key(name));
    return entry != nullptr && entry->type == GgufValueType::Array;
}

Result<std::optional<std::vector<uint32_t>>> GgufConfig::sizes(std::string_view name,
                                                               uint32_t layers) {
    if (!is_array(name)) {
        WEIR_TRY_ASSIGN(const auto one, size(name));
        return one ? std::optional(std::vector<uint32_t>(layers, *one)) : std::nullopt;
    }
    const std::string full = asked_.emplace_back(key(name));
    WEIR_TRY_ASSIGN(const auto values, file_.find_unsigneds(full));
    if (values.size() != layers) {
        return data_corrupt("key {}: {} numbers for {} layers", full, values.size(), layers);
    }
    std::vector<uint32_t> out;
    for (const uint64_t value : values) {
        if (value > std::numeric_limits<uint32_t>::max()) {
            return data_corrupt("key {}: {} is too large", full, value);
        }
        out.push_back(static_cast<uint32_t>(value));
    }
    return out;
}

Result<std::optional<std::vector<bool>>> GgufConfig::flags(std::string_view name, uint32_t layers) {
    const std::string full = asked_.emplace_back(key(name));
    const GgufEntry* entry = file_.find(full);
    if (entry == nullptr) {
        return std::nullopt;
    }
    if (entry->type != GgufValueType::Array || entry->element != GgufValueType::Bool) {
        return data_corrupt("key {}: no array of bool", full);
    }
    if (entry->count != layers) {
        return data_corrupt("key {}: {} flags for {} layers", full, entry->count, layers);
    }
    std::vector<bool> out;
    for (const std::byte flag : entry->payload) {
        out.push_back(flag != std::byte{0});
    }
    return out;
}

Result<void> GgufConfig::read_window_pattern(uint32_t window, uint32_t pattern,
                                             TransformerConfig& out) {
    constexpr std::string_view kPattern = "attention.sliding_window_pattern";
    std::optional<std::vector<bool>> windowed;
    if (is_array(kPattern)) {
        WEIR_TRY_ASSIGN(windowed, flags(kPattern, out.layers));
    } else {
        WEIR_TRY_ASSIGN(const auto said, size(kPattern));
        pattern = said.value_or(pattern);
    }
    for (uint32_t i = 0; i < out.layers; ++i) {
        const bool sliding = windowed ? (*windowed)[i] : pattern == 0 || (i + 1) % pattern != 0;
        out.layer[i].visible =
            window != 0 && sliding ? Visibility::window(window) : Visibility::all();
    }
    return {};
}

bool GgufConfig::has_tensor(std::string_view name) const {
    return std::ranges::find(file_.tensors(), name, &GgufTensor::name) != file_.tensors().end();
}

Result<uint32_t> GgufConfig::require_size(std::string_view name) {
    WEIR_TRY_ASSIGN(const auto value, size(name));
    if (!value) {
        return data_corrupt("key {} is missing", key(name));
    }
    return *value;
}

Result<std::optional<double>> GgufConfig::number(std::string_view name) {
    return file_.find_number(asked_.emplace_back(key(name)));
}

Result<std::optional<std::string_view>> GgufConfig::text(std::string_view name) {
    return file_.find_text(asked_.emplace_back(key(name)));
}

Result<std::optional<bool>> GgufConfig::flag(std::string_view name) {
    return file_.find_bool(asked_.emplace_back(key(name)));
}

Result<void> GgufConfig::refuse_unless_zero(std::string_view name) {
    const GgufEntry* entry = file_.find(key(name));
    if (entry == nullptr || std::ranges::find(asked_, entry->key) != asked_.end()) {
        return {};
    }
    const bool zero =
        entry->type != GgufValueType::String && entry->type != GgufValueType::Array &&
        std::ranges::all_of(entry->payload, [](std::byte b) { return b == std::byte{0}; });
    if (!zero) {
        return unsupported("key {}: not supported by this build", key(name));
    }
    ignore(name);
    return {};
}

Result<void> GgufConfig::refuse_unknown() const {
    for (const GgufEntry& entry : file_.entries()) {
        if (entry.key.starts_with(prefix_) &&
            std::ranges::find(asked_, entry.key) == asked_.end()) {
            return unsupported("key {}: not known to this build, and it might change the results",
                               entry.key);
        }
    }
    return {};
}

namespace {

// Keys that are there in some files of these families and do not change what is computed.
constexpr std::string_view kHarmless[] = {"rope.scaling.finetuned", "tensor_data_layout",
                                          "pooling_type"};
// Keys of branches that these families do not have; 0 switches the branch off.
constexpr std::string_view kZeroOnly[] = {"expert_count",           "expert_used_count",
                                          "nextn_predict_layers",   "attention.clamp_kqv",
                                          "attention.scale",        "attention.temperature_scale",
                                          "attn_logit_softcapping", "final_logit_softcapping"};

Result<void> read_shape(GgufConfig& in, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(out.layers, in.require_size("block_count"));
    WEIR_TRY_ASSIGN(out.context_tokens, in.require_size("context_length"));
    WEIR_TRY_ASSIGN(out.hidden, in.require_size("embedding_length"));
    WEIR_TRY_ASSIGN(out.heads, in.require_size("attention.head_count"));
    WEIR_TRY_ASSIGN(const auto key_length, in.size("attention.key_length"));
    WEIR_TRY_ASSIGN(const auto value_length, in.size("attention.value_length"));
    if (out.layers == 0 || out.layers > kLayersMax || out.heads == 0) {
        return out.validate();  // names it
    }
    if (!key_length && out.hidden % out.heads != 0) {
        return data_corrupt("key {}: {} heads do not divide {}", in.key("attention.head_count"),
                            out.heads, out.hidden);
    }
    out.head_dim = key_length.value_or(out.hidden / out.heads);
    // Compressed keys and values have lengths of their own.
    const bool latent = in.file().find(in.key("attention.kv_lora_rank")) != nullptr;
    if (!latent && value_length.value_or(out.head_dim) != out.head_dim) {
        return unsupported("key {}: {}, where keys have {}", in.key("attention.value_length"),
                           *value_length, out.head_dim);
    }
    return {};
}

// What the format allows to differ from layer to layer.
Result<void> read_layers(GgufConfig& in, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(auto widths, in.sizes("feed_forward_length", out.layers));
    if (!widths) {  // where every layer has experts, some files say only theirs
        WEIR_TRY_ASSIGN(widths, in.sizes("expert_feed_forward_length", out.layers));
    }
    if (!widths) {
        return data_corrupt("key {} is missing", in.key("feed_forward_length"));
    }
    WEIR_TRY_ASSIGN(const auto kv_heads, in.sizes("attention.head_count_kv", out.layers));
    out.feed_forward = widths->front();
    out.kv_heads = kv_heads ? kv_heads->front() : out.heads;
    out.make_layers();
    for (uint32_t i = 0; i < out.layers; ++i) {
        out.layer[i].feed_forward = (*widths)[i];
        out.layer[i].kv_heads = kv_heads ? (*kv_heads)[i] : out.heads;
    }
    return {};
}

Result<void> read_vocabulary_size(GgufConfig& in, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(const auto said, in.size("vocab_size"));
    if (said) {
        out.vocabulary = *said;
        return {};
    }
    const GgufEntry* tokens = in.file().find("tokenizer.ggml.tokens");
    if (tokens == nullptr || tokens->type != GgufValueType::Array ||
        tokens->count > kVocabularyMax) {
        return data_corrupt("key {} is missing, and there is no vocabulary", in.key("vocab_size"));
    }
    out.vocabulary = static_cast<uint32_t>(tokens->count);
    return {};
}

Result<void> read_yarn(GgufConfig& in, double factor, uint32_t original, RopeConfig& rope) {
    YarnScaling yarn{.factor = factor, .original_context = original};
    WEIR_TRY_ASSIGN(const auto fast, in.number("rope.scaling.yarn_beta_fast"));
    WEIR_TRY_ASSIGN(const auto slow, in.number("rope.scaling.yarn_beta_slow"));
    yarn.beta_fast = fast.value_or(yarn.beta_fast);
    yarn.beta_slow = slow.value_or(yarn.beta_slow);
    WEIR_TRY_ASSIGN(const auto attention, in.number("rope.scaling.attn_factor"));
    WEIR_TRY_ASSIGN(const auto lambda, in.number("rope.scaling.yarn_log_multiplier"));
    WEIR_TRY_ASSIGN(const auto override_factor, in.number("rope.scaling.yarn_attn_factor"));
    WEIR_TRY_ASSIGN(const auto extrapolation, in.number("rope.scaling.yarn_ext_factor"));
    if (extrapolation.value_or(1) != 1) {
        return unsupported("key {}: only 1 is supported", in.key("rope.scaling.yarn_ext_factor"));
    }
    const double divisor = lambda.value_or(0) == 0 ? 1 : yarn_mscale(factor, *lambda);
    yarn.attention_factor =
        override_factor.value_or(attention.value_or(1) * yarn_mscale(factor, 1) / divisor);
    rope.scaling = yarn;
    return {};
}

Result<void> read_longrope(GgufConfig& in, uint32_t original, RopeConfig& rope) {
    if (!in.has_tensor("rope_factors_short.weight")) {
        return data_corrupt("tensor rope_factors_short.weight is missing");
    }
    WEIR_TRY_ASSIGN(const auto attention, in.number("rope.scaling.attn_factor"));
    rope.scaling =
        LongropeScaling{.original_context = original, .attention_factor = attention.value_or(1)};
    return {};
}

Result<void> read_rope(GgufConfig& in, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(const auto rotary_dim, in.size("rope.dimension_count"));
    WEIR_TRY_ASSIGN(const auto theta, in.number("rope.freq_base"));
    RopeConfig& rope = out.ropes[0];
    rope.rotary_dim = rotary_dim.value_or(out.head_dim);
    rope.theta = theta.value_or(10000);

    WEIR_TRY_ASSIGN(const auto type, in.text("rope.scaling.type"));
    WEIR_TRY_ASSIGN(const auto factor, in.number("rope.scaling.factor"));
    WEIR_TRY_ASSIGN(const auto old_factor, in.number("rope.scale_linear"));
    WEIR_TRY_ASSIGN(const auto original, in.size("rope.scaling.original_context_length"));
    const double scale = factor.value_or(old_factor.value_or(1));
    const std::string_view kind = type.value_or("linear");
    if (in.has_tensor("rope_factors_long.weight")) {  // no converter writes a type for it
        return read_longrope(in, original.value_or(out.context_tokens), rope);
    }
    if (kind == "yarn") {
        return read_yarn(in, scale, original.value_or(out.context_tokens), rope);
    }
    if (kind == "linear") {
        if (scale != 1 && scale != 0) {
            rope.scaling = LinearScaling{scale};
        }
        return {};
    }
    if (kind != "none") {
        return unsupported("key {}: scaling \"{}\" is not supported", in.key("rope.scaling.type"),
                           kind);
    }
    return {};
}

Result<void> read_epsilon(GgufConfig& in, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(const auto rms, in.number("attention.layer_norm_rms_epsilon"));
    WEIR_TRY_ASSIGN(const auto layer, in.number("attention.layer_norm_epsilon"));
    if (!rms && !layer) {
        return data_corrupt("key {} is missing", in.key("attention.layer_norm_rms_epsilon"));
    }
    out.norm_epsilon = static_cast<float>(rms ? *rms : *layer);
    return {};
}

Result<void> read_common(GgufConfig& in, TransformerConfig& out) {
    WEIR_TRY(read_shape(in, out));
    WEIR_TRY(read_layers(in, out));
    WEIR_TRY(read_vocabulary_size(in, out));
    WEIR_TRY(read_epsilon(in, out));
    WEIR_TRY(read_rope(in, out));
    out.context_tokens = context_reached(out.context_tokens, out.ropes[0].scaling);

    WEIR_TRY_ASSIGN(const auto window, in.size("attention.sliding_window"));
    if (window.value_or(0) != 0) {
        for (LayerConfig& layer : out.layer) {
            layer.visible = Visibility::window(*window);
        }
    }
    WEIR_TRY_ASSIGN(const auto causal, in.flag("attention.causal"));
    if (causal.value_or(true) == out.family->encoder && causal) {
        return unsupported("key {}: {} is not supported for this family",
                           in.key("attention.causal"), *causal);
    }
    for (const std::string_view name : kHarmless) {
        in.ignore(name);
    }
    return {};
}

}  // namespace

Result<TransformerConfig> config_from_gguf(const GgufFile& file) {
    WEIR_TRY_ASSIGN(const auto type, file.find_text("general.type"));
    if (type.value_or("model") != "model") {
        return unsupported("key general.type: \"{}\" is no model", *type);
    }
    WEIR_TRY_ASSIGN(const auto architecture, file.find_text("general.architecture"));
    if (!architecture) {
        return data_corrupt("key general.architecture is missing");
    }
    const Family* family = find_family_of_gguf(*architecture);
    if (family == nullptr) {
        return unsupported(
            "key general.architecture: \"{}\" is not supported by this build; known are {}",
            *architecture, known_architectures());
    }
    TransformerConfig config;
    config.family = family;
    config.architecture = *architecture;
    WEIR_TRY_ASSIGN(const auto model_name, file.find_text("general.name"));
    config.name = model_name.value_or("");
    config.output_matrix = OutputMatrix::OwnIfPresent;

    GgufConfig in(file, *architecture);
    WEIR_TRY(read_common(in, config));
    WEIR_TRY(family->finish_gguf(in, config));
    for (const std::string_view name : kZeroOnly) {
        WEIR_TRY(in.refuse_unless_zero(name));
    }
    WEIR_TRY(in.refuse_unknown());
    WEIR_TRY(config.validate());
    return config;
}

}  // namespace weir::model
