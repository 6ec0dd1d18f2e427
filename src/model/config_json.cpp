#include "model/config_json.h"

#include <algorithm>
#include <limits>
#include <span>

#include "model/family.h"
#include "model/file_errors.h"
#include "model/packed_tensors.h"

namespace weir::model {

namespace {

constexpr uint32_t kFirstWindowLayerDefault = 28;  // Qwen2Config, Qwen3Config
constexpr double kNumberMax = 1e15;

// What rope parameters by layer type are called, and the base of those of windowed layers where no
// file says it (Gemma 3).
constexpr std::string_view kFullType = "full_attention";
constexpr std::string_view kSlidingType = "sliding_attention";
constexpr double kSlidingThetaDefault = 10000;

}  // namespace

Result<std::optional<uint32_t>> JsonConfig::size(std::string_view name) {
    std::optional<uint32_t> value;
    WEIR_TRY(fields_.read(name, json::in_range(0u, std::numeric_limits<uint32_t>::max()), value));
    return value;
}

Result<uint32_t> JsonConfig::require_size(std::string_view name) {
    return require_size(name, std::nullopt);
}

Result<uint32_t> JsonConfig::require_size(std::string_view name,
                                          std::optional<uint32_t> otherwise) {
    WEIR_TRY_ASSIGN(const auto value, size(name));
    if (value || otherwise) {
        return value.value_or(otherwise.value_or(0));
    }
    return data_corrupt("{} is missing", fields_.path_of(name));
}

Result<bool> JsonConfig::flag(std::string_view name) {
    bool value = false;
    WEIR_TRY(fields_.read(name, value));
    return value;
}

Result<bool> JsonConfig::flag(std::string_view name, bool otherwise) {
    WEIR_TRY(fields_.read(name, otherwise));
    return otherwise;
}

Result<std::optional<double>> JsonConfig::number(std::string_view name) {
    std::optional<double> value;
    WEIR_TRY(fields_.read(name, json::in_range(-kNumberMax, kNumberMax), value));
    return value;
}

Result<std::optional<double>> JsonConfig::number_or_null(std::string_view name, double otherwise) {
    if (object_.find(name) == nullptr) {
        return otherwise;
    }
    return number(name);
}

Result<std::optional<uint32_t>> JsonConfig::window(std::optional<uint32_t> otherwise) {
    if (object_.find("sliding_window") == nullptr) {
        return otherwise;
    }
    WEIR_TRY_ASSIGN(const auto said, size("sliding_window"));
    return said.value_or(0) == 0 ? std::nullopt : said;
}

Result<std::optional<std::vector<bool>>> JsonConfig::layers_of_type(std::string_view wanted,
                                                                    uint32_t layers) {
    WEIR_TRY_ASSIGN(const json::Array* types, fields_.array("layer_types"));
    if (types == nullptr) {
        return std::nullopt;
    }
    if (types->size() != layers) {
        return data_corrupt("{} has {} entries for {} layers", fields_.path_of("layer_types"),
                            types->size(), layers);
    }
    std::vector<bool> found;
    for (const json::Value& value : *types) {
        const std::string* type = value.if_string();
        if (type == nullptr || (*type != kFullType && *type != wanted)) {
            return unsupported("{}[{}]: only {} and {} are supported for this family",
                               fields_.path_of("layer_types"), found.size(), kFullType, wanted);
        }
        found.push_back(*type == wanted);
    }
    return found;
}

Result<void> JsonConfig::read_windows(std::optional<uint32_t> window, uint32_t first_layer,
                                      TransformerConfig& out) {
    WEIR_TRY_ASSIGN(const auto types, layers_of_type(kSlidingType, out.layers));
    for (uint32_t i = 0; i < out.layers; ++i) {
        const bool sliding = types ? (*types)[i] : window.has_value() && i >= first_layer;
        if (sliding && !window) {
            return data_corrupt("{}: sliding layers, but no sliding_window",
                                fields_.path_of("layer_types"));
        }
        out.layer[i].visible = sliding ? Visibility::window(*window) : Visibility::all();
    }
    return {};
}

Result<void> JsonConfig::read_window_pattern(std::optional<uint32_t> window, uint32_t pattern,
                                             TransformerConfig& out) {
    for (const std::string_view name : {"_sliding_window_pattern", "sliding_window_pattern"}) {
        WEIR_TRY(fields_.read(name, json::in_range(1u, kLayersMax), pattern));
    }
    if (has("layer_types")) {
        return read_windows(window, 0, out);
    }
    for (uint32_t i = 0; i < out.layers; ++i) {
        const bool sliding = window && (i + 1) % pattern != 0;
        out.layer[i].visible = sliding ? Visibility::window(*window) : Visibility::all();
    }
    return {};
}

Result<void> JsonConfig::read_switched_windows(TransformerConfig& out) {
    WEIR_TRY_ASSIGN(const bool switched_on, flag("use_sliding_window"));
    WEIR_TRY_ASSIGN(const auto said, window(kWindowDefault));
    WEIR_TRY_ASSIGN(const auto first_layer, size("max_window_layers"));
    return read_windows(switched_on ? said : std::nullopt,
                        first_layer.value_or(kFirstWindowLayerDefault), out);
}

namespace {

RopeConfig rope_config(const RopeJson& rope, double theta, uint32_t head_dim) {
    return {.theta = rope.theta.value_or(theta), .rotary_dim = head_dim, .scaling = rope.scaling};
}

}  // namespace

// Two forms: `rope_parameters` (everything in one dictionary, or in one for each type of layer), or
// `rope_theta` with `rope_scaling`.
Result<void> JsonConfig::read_ropes(double theta, TransformerConfig& out) {
    WEIR_TRY(fields_.read("rope_theta", json::in_range(0.0, 1e15), theta));
    RopeJsonContext context{.context_tokens = out.context_tokens};
    WEIR_TRY(fields_.read("original_max_position_embeddings", json::in_range(1u, kContextMax),
                          context.original_context));
    rope_->original_context = context.original_context.value_or(out.context_tokens);
    for (const std::string_view name : {"rope_parameters", "rope_scaling"}) {
        WEIR_TRY_ASSIGN(const json::Object* object, fields_.object(name));
        if (object == nullptr) {
            continue;
        }
        if (object->find(kFullType) != nullptr || object->find(kSlidingType) != nullptr) {
            WEIR_TRY(read_ropes_by_type(*object, fields_.path_of(name), context));
        } else {
            json::Fields fields(*object, fields_.path_of(name));
            // The new form has the base there too, and needs no type for it.
            const bool is_scaling = name == std::string_view("rope_scaling");
            if (is_scaling && fields.get("rope_type") == nullptr && fields.get("type") == nullptr) {
                return data_corrupt("{} is missing", fields.path_of("rope_type"));
            }
            WEIR_TRY_ASSIGN(rope_, read_rope_json(std::move(fields), context));
        }
        break;
    }
    WEIR_TRY_ASSIGN(const auto part, number("partial_rotary_factor"));
    if (part && rope_ && !rope_->rotary_part) {
        rope_->rotary_part = part;
    }
    const RopeJson none;
    out.ropes = {rope_config(rope_.value_or(none), theta, out.head_dim)};
    if (sliding_rope_) {
        out.ropes.push_back(
            rope_config(sliding_rope_->value_or(none), kSlidingThetaDefault, out.head_dim));
    }
    return {};
}

Result<void> JsonConfig::read_ropes_by_type(const json::Object& object, const std::string& path,
                                            const RopeJsonContext& context) {
    json::Fields types(object, path);
    const auto read = [&](std::string_view name, MaybeRope& rope) -> Result<void> {
        WEIR_TRY_ASSIGN(const json::Object* one, types.object(name));
        rope.reset();
        if (one != nullptr) {
            WEIR_TRY_ASSIGN(rope, read_rope_json(json::Fields(*one, types.path_of(name)), context));
        }
        return {};
    };
    WEIR_TRY(read(kFullType, rope_));
    WEIR_TRY(read(kSlidingType, sliding_rope_.emplace()));
    return types.refuse_unknown();
}

Result<void> JsonConfig::take_rotary_part(double otherwise, TransformerConfig& out) {
    rotary_part_taken_ = true;
    const double part = rope_ ? rope_->rotary_part.value_or(otherwise) : 1;
    if (!(part > 0 && part <= 1)) {
        return data_corrupt("{} is {}", fields_.path_of("partial_rotary_factor"), part);
    }
    out.ropes[0].rotary_dim = static_cast<uint32_t>(out.head_dim * part);  // rounded down
    return {};
}

Result<void> JsonConfig::take_temperature(TransformerConfig& out) {
    temperature_taken_ = true;
    if (rope_ && rope_->temperature_beta != 0) {
        // In float32, as GGUF has it, so that both formats give the same bits.
        const auto beta = static_cast<float>(rope_->temperature_beta);
        out.temperature = {.beta = double{beta}, .length = rope_->original_context};
    }
    return {};
}

Result<void> JsonConfig::finish_ropes(TransformerConfig& out) const {
    if (!rotary_part_taken_ && rope_ && rope_->rotary_part.value_or(1) != 1) {
        return unsupported("{}: only 1 is supported for this family",
                           fields_.path_of("partial_rotary_factor"));
    }
    if (sliding_rope_ && *sliding_rope_ && (*sliding_rope_)->rotary_part.value_or(1) != 1) {
        return unsupported("{}: only 1 is supported for sliding layers",
                           fields_.path_of("partial_rotary_factor"));
    }
    if (!temperature_taken_ && rope_ && rope_->temperature_beta != 0) {
        return unsupported("{}: not supported for this family",
                           fields_.path_of("llama_4_scaling_beta"));
    }
    for (LayerConfig& layer : out.layer) {
        const bool sliding = layer.visible.sight == Sight::Window;
        if (!layer.rope || !sliding_rope_) {
            continue;
        }
        const MaybeRope& rope = sliding ? *sliding_rope_ : rope_;
        layer.rope = rope ? std::optional(sliding ? 1u : 0u) : std::nullopt;
    }
    return {};
}

namespace {

using json::in_range;

// Keys that change the results and are not implemented for these families. They may be there with
// a value that switches them off.
constexpr std::string_view kRefused[] = {
    "compression_config",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "query_pre_attn_scalar",
    "logit_scale",
    "logits_scaling",
    "attention_multiplier",
    "embedding_multiplier",
    "residual_multiplier",
    "scale_emb",
    "scale_depth",
    "dim_model_base",
    "num_local_experts",
    "num_experts",
    "n_routed_experts",
    "kv_lora_rank",
    "q_lora_rank",
    "use_qk_norm",
    "qk_layernorm",
    "no_rope_layers",
    "no_rope_layer_interval",
    "attention_chunk_size",
    "clip_qkv",
    "attn_temperature_tuning",
    "llama_4_scaling_beta",
    "use_parallel_residual",
    "add_cross_attention",
    "is_encoder_decoder",
    "num_nextn_predict_layers",
    "use_mrope",
};

// Parts of a model that wraps a decoder; only wrapped types may have them.
constexpr std::string_view kParts[] = {"text_config", "vision_config", "audio_config"};

bool switched_off(const json::Value& value) {
    if (const bool* flag = value.if_bool()) {
        return !*flag;
    }
    if (const auto* whole = std::get_if<int64_t>(&value.storage())) {
        return *whole == 0;
    }
    if (const auto* real = std::get_if<double>(&value.storage())) {
        return *real == 0;
    }
    if (const json::Array* array = value.if_array()) {
        return array->empty();
    }
    if (const json::Object* object = value.if_object()) {
        return object->empty();
    }
    return value.is_null();
}

// Those of `names` that nobody has asked for.
Result<void> refuse_named(JsonConfig& in, std::span<const std::string_view> names) {
    for (const std::string_view name : names) {
        if (in.fields().asked(name)) {
            continue;
        }
        const json::Value* value = in.fields().get(name);
        if (value != nullptr && !switched_off(*value)) {
            return unsupported("{}: not supported by this build for this family",
                               in.fields().path_of(name));
        }
    }
    return {};
}

// Of a family that was published with Python code, this build's own is used.
Result<void> refuse_code(JsonConfig& in, const Family* family) {
    if (in.has("auto_map") && (family == nullptr || !family->published_with_code)) {
        return unsupported("{}: this model comes with its own Python code, which is never executed",
                           in.fields().path_of("auto_map"));
    }
    return {};
}

Result<void> read_activation(JsonConfig& in, const JsonDefaults& defaults, TransformerConfig& out) {
    std::optional<std::string> name;
    WEIR_TRY(in.fields().read(defaults.activation_name, name));
    out.activation = defaults.activation;
    if (!name) {
        return {};
    }
    if (*name == "silu" || *name == "swish") {
        out.activation = Activation::Silu;
    } else if (*name == "gelu_pytorch_tanh" || *name == "gelu_new") {
        out.activation = Activation::GeluTanh;
    } else if (*name == "gelu") {
        out.activation = Activation::Gelu;
    } else {
        return unsupported("{}: \"{}\" is not supported for this family",
                           in.fields().path_of(defaults.activation_name), *name);
    }
    return {};
}

Result<void> read_shape(JsonConfig& in, const JsonDefaults& defaults, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(out.layers, in.require_size("num_hidden_layers", defaults.layers));
    WEIR_TRY_ASSIGN(out.hidden, in.require_size("hidden_size", defaults.hidden));
    WEIR_TRY_ASSIGN(out.feed_forward, in.require_size("intermediate_size", defaults.feed_forward));
    WEIR_TRY_ASSIGN(out.heads, in.require_size("num_attention_heads", defaults.heads));
    WEIR_TRY_ASSIGN(const auto kv_heads, in.size("num_key_value_heads"));
    out.kv_heads = kv_heads.value_or(defaults.kv_heads.value_or(out.heads));
    WEIR_TRY_ASSIGN(out.vocabulary, in.require_size("vocab_size", defaults.vocabulary));
    WEIR_TRY_ASSIGN(out.context_tokens,
                    in.require_size("max_position_embeddings", defaults.context_tokens));
    WEIR_TRY_ASSIGN(const auto head_dim, in.size("head_dim"));
    if (out.layers > kLayersMax || out.heads == 0) {
        return out.validate();  // names it
    }
    if (!head_dim && !defaults.head_dim && out.hidden % out.heads != 0) {
        return data_corrupt("{}: {} heads do not divide {}",
                            in.fields().path_of("num_attention_heads"), out.heads, out.hidden);
    }
    out.head_dim = head_dim.value_or(defaults.head_dim.value_or(out.hidden / out.heads));
    double epsilon = defaults.epsilon;
    WEIR_TRY(in.fields().read(defaults.epsilon_name, in_range(0.0, 1.0), epsilon));
    out.norm_epsilon = static_cast<float>(epsilon);
    WEIR_TRY_ASSIGN(const bool tied, in.flag("tie_word_embeddings", defaults.tied));
    // Transformers, too, believes the file where it has another matrix than the embedding.
    out.output_matrix = tied ? OutputMatrix::OwnIfPresent : OutputMatrix::Own;
    return {};
}

// Reads everything but the name.
Result<TransformerConfig> read_decoder(JsonConfig& in, std::string_view model_type) {
    const Family* family = find_family_of_json(model_type);
    if (family == nullptr) {
        return unsupported("{}: \"{}\" is not supported by this build; known are {}",
                           in.fields().path_of("model_type"), model_type, known_model_types());
    }
    TransformerConfig config;
    config.family = family;
    config.architecture = family->gguf_architectures.empty() ? family->architecture
                                                             : family->gguf_architectures.front();
    WEIR_TRY(refuse_code(in, family));
    WEIR_TRY(refuse_named(in, kParts));
    WEIR_TRY(read_shape(in, family->json, config));
    WEIR_TRY(read_activation(in, family->json, config));
    WEIR_TRY(in.read_ropes(family->json.rope_theta, config));
    config.context_tokens = context_reached(config.context_tokens, config.ropes[0].scaling);
    config.make_layers();
    WEIR_TRY(family->finish_json(in, config));
    WEIR_TRY(in.finish_ropes(config));
    WEIR_TRY(refuse_named(in, kRefused));
    return config;
}

Result<TransformerConfig> read_wrapped(JsonConfig& whole, const WrappedType& wrapped) {
    WEIR_TRY(refuse_code(whole, nullptr));
    WEIR_TRY(refuse_named(whole, kRefused));
    WEIR_TRY_ASSIGN(const json::Object* text, whole.fields().object("text_config"));
    if (text == nullptr) {
        return data_corrupt("{} is missing", whole.fields().path_of("text_config"));
    }
    JsonConfig in(*text, whole.fields().path_of("text_config"));
    std::string type(wrapped.text);
    WEIR_TRY(in.fields().read("model_type", type));
    if (!can_wrap(wrapped.whole, type)) {
        return unsupported("{}: \"{}\" is not supported inside {}",
                           in.fields().path_of("model_type"), type, wrapped.whole);
    }
    WEIR_TRY_ASSIGN(TransformerConfig config, read_decoder(in, type));
    if (config.output_matrix == OutputMatrix::Own) {
        // The class of the whole ties by default and that of the part does not; published files
        // say nothing and have the matrix.
        config.output_matrix = OutputMatrix::OwnIfPresent;
    }
    return config;
}

Result<TransformerConfig> read_config(const json::Object& object) {
    JsonConfig in(object, "config.json");
    std::optional<std::string> model_type;
    WEIR_TRY(in.fields().read("model_type", model_type));
    if (!model_type) {
        return data_corrupt("config.json.model_type is missing");
    }
    const WrappedType* wrapped = find_wrapped(*model_type);
    WEIR_TRY_ASSIGN(TransformerConfig config, wrapped == nullptr ? read_decoder(in, *model_type)
                                                                 : read_wrapped(in, *wrapped));
    WEIR_TRY(in.fields().read("_name_or_path", config.name));
    WEIR_TRY_ASSIGN(config.packing, read_weight_packing(object));
    WEIR_TRY(config.validate());
    return config;
}

}  // namespace

Result<TransformerConfig> config_from_json(const json::Object& object) {
    Result<TransformerConfig> config = read_config(object);
    if (!config && config.error().code == ErrorCode::InvalidArgument) {
        config.error().code = ErrorCode::DataCorrupt;  // it is a file that says it, not a client
    }
    return config;
}

}  // namespace weir::model
