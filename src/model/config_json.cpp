#include "model/config_json.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <span>

#include "model/family.h"
#include "model/file_errors.h"
#include "model/rope.h"

namespace weir::model {

namespace {

constexpr uint32_t kFirstWindowLayerDefault = 28;  // Qwen2Config, Qwen3Config

}  // namespace

Result<std::optional<uint32_t>> JsonConfig::size(std::string_view name) {
    std::optional<uint32_t> value;
    WEIR_TRY(fields_.read(name, json::in_range(0u, std::numeric_limits<uint32_t>::max()), value));
    return value;
}

Result<uint32_t> JsonConfig::require_size(std::string_view name) {
    WEIR_TRY_ASSIGN(const auto value, size(name));
    if (!value) {
        return data_corrupt("{} is missing", fields_.path_of(name));
    }
    return *value;
}

Result<bool> JsonConfig::flag(std::string_view name) {
    bool value = false;
    WEIR_TRY(fields_.read(name, value));
    return value;
}

Result<std::optional<uint32_t>> JsonConfig::window(std::optional<uint32_t> otherwise) {
    if (object_.find("sliding_window") == nullptr) {
        return otherwise;
    }
    WEIR_TRY_ASSIGN(const auto said, size("sliding_window"));
    return said.value_or(0) == 0 ? std::nullopt : said;
}

Result<void> JsonConfig::read_windows(std::optional<uint32_t> window, uint32_t first_layer,
                                      TransformerConfig& out) {
    out.layer_windows.assign(out.layers, std::nullopt);
    WEIR_TRY_ASSIGN(const json::Array* types, fields_.array("layer_types"));
    if (types != nullptr && types->size() != out.layers) {
        return data_corrupt("{} has {} entries for {} layers", fields_.path_of("layer_types"),
                            types->size(), out.layers);
    }
    for (uint32_t layer = 0; layer < out.layers; ++layer) {
        bool sliding = layer >= first_layer && window.value_or(0) != 0;
        if (types != nullptr) {
            const std::string* type = (*types)[layer].if_string();
            if (type == nullptr || (*type != "full_attention" && *type != "sliding_attention")) {
                return unsupported(
                    "{}[{}]: only full_attention and sliding_attention are supported",
                    fields_.path_of("layer_types"), layer);
            }
            sliding = *type == "sliding_attention";
        }
        if (sliding && window.value_or(0) == 0) {
            return data_corrupt("{}: sliding layers, but no sliding_window",
                                fields_.path_of("layer_types"));
        }
        if (sliding) {
            out.layer_windows[layer] = window;
        }
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

using json::in_range;

constexpr double kFactorMax = 1e9;

// Keys that change the results and are not implemented for these families. They may be there with
// a value that switches them off.
constexpr std::string_view kRefused[] = {
    "quantization_config",
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

// Parts of a model that wraps a decoder; only kWrapped may have them.
constexpr std::string_view kParts[] = {"text_config", "vision_config", "audio_config"};

// Model types that wrap a decoder of another, and may leave its type out. Of these the part that
// handles text is read; prompts have no images, so that the other parts are never needed.
struct Wrapped {
    std::string_view whole;
    std::string_view text;
};
constexpr Wrapped kWrapped[] = {{"mistral3", "mistral"}};  // Mistral Small 3.1 and 3.2

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

Result<void> refuse_named(JsonConfig& in, std::span<const std::string_view> names) {
    for (const std::string_view name : names) {
        const json::Value* value = in.fields().get(name);
        if (value != nullptr && !switched_off(*value)) {
            return unsupported("{}: not supported by this build for this family",
                               in.fields().path_of(name));
        }
    }
    return {};
}

Result<void> refuse_foreign(JsonConfig& in) {
    if (in.has("auto_map")) {
        return unsupported("{}: this model comes with its own Python code, which is never executed",
                           in.fields().path_of("auto_map"));
    }
    WEIR_TRY(refuse_named(in, kRefused));
    std::optional<std::string> activation;
    WEIR_TRY(in.fields().read("hidden_act", activation));
    if (activation.value_or("silu") != "silu") {
        return unsupported("{}: only silu is supported for this family",
                           in.fields().path_of("hidden_act"));
    }
    std::optional<double> rotary_part;
    WEIR_TRY(in.fields().read("partial_rotary_factor", in_range(0.0, 1.0), rotary_part));
    if (rotary_part.value_or(1) != 1) {
        return unsupported("{}: only 1 is supported for this family",
                           in.fields().path_of("partial_rotary_factor"));
    }
    return {};
}

Result<void> read_shape(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(out.layers, in.require_size("num_hidden_layers"));
    WEIR_TRY_ASSIGN(out.hidden, in.require_size("hidden_size"));
    WEIR_TRY_ASSIGN(out.feed_forward, in.require_size("intermediate_size"));
    WEIR_TRY_ASSIGN(out.heads, in.require_size("num_attention_heads"));
    WEIR_TRY_ASSIGN(const auto kv_heads, in.size("num_key_value_heads"));
    out.kv_heads = kv_heads.value_or(out.heads);
    WEIR_TRY_ASSIGN(out.vocabulary, in.require_size("vocab_size"));
    WEIR_TRY_ASSIGN(out.context_tokens, in.require_size("max_position_embeddings"));
    WEIR_TRY_ASSIGN(const auto head_dim, in.size("head_dim"));
    if (out.layers > kLayersMax || out.heads == 0) {
        return out.validate();  // names it
    }
    if (!head_dim && out.hidden % out.heads != 0) {
        return data_corrupt("{}: {} heads do not divide {}",
                            in.fields().path_of("num_attention_heads"), out.heads, out.hidden);
    }
    out.head_dim = head_dim.value_or(out.hidden / out.heads);
    double epsilon = 1e-6;
    WEIR_TRY(in.fields().read("rms_norm_eps", in_range(0.0, 1.0), epsilon));
    out.norm_epsilon = static_cast<float>(epsilon);
    WEIR_TRY_ASSIGN(const bool tied, in.flag("tie_word_embeddings"));
    out.output_matrix = tied ? OutputMatrix::Tied : OutputMatrix::Own;
    return {};
}

// The parameters of one rope type, as `rope_parameters` or `rope_scaling` has them.
class RopeReader {
  public:
    RopeReader(json::Fields fields, const TransformerConfig& config)
        : fields_(std::move(fields)), config_(config) {}

    Result<RopeScaling> read(std::optional<uint32_t> top_level_original) {
        WEIR_TRY_ASSIGN(const std::string type, read_type());
        fields_.ignore({"rope_theta"});
        original_ = config_.context_tokens;
        WEIR_TRY(
            fields_.read("original_max_position_embeddings", in_range(1u, kContextMax), original_));
        original_ = top_level_original.value_or(original_);
        if (type == "default") {
            fields_.ignore({"factor"});
            WEIR_TRY(refuse_unknown());
            return RopeScaling{};
        }
        if (type == "linear") {
            return finish(read_linear());
        }
        if (type == "llama3") {
            return finish(read_llama3());
        }
        if (type == "yarn") {
            return finish(read_yarn());
        }
        return unsupported("{}: rope type \"{}\" is not supported for this family",
                           fields_.path_of("rope_type"), type);
    }

  private:
    Result<std::string> read_type() {
        std::optional<std::string> type;
        std::optional<std::string> old_type;
        WEIR_TRY(fields_.read("rope_type", type));
        WEIR_TRY(fields_.read("type", old_type));
        return type.value_or(old_type.value_or("default"));
    }

    Result<void> refuse_unknown() {
        double rotary_part = 1;
        WEIR_TRY(fields_.read("partial_rotary_factor", in_range(0.0, 1.0), rotary_part));
        if (rotary_part != 1) {
            return unsupported("{}: only 1 is supported for this family",
                               fields_.path_of("partial_rotary_factor"));
        }
        return fields_.refuse_unknown();
    }

    template <typename Scaling>
    Result<RopeScaling> finish(Result<Scaling> scaling) {
        WEIR_TRY(scaling);
        WEIR_TRY(refuse_unknown());
        return RopeScaling{*scaling};
    }

    Result<double> require_factor(std::string_view name) {
        std::optional<double> value;
        WEIR_TRY(fields_.read(name, in_range(0.0, kFactorMax), value));
        if (!value) {
            return data_corrupt("{} is missing", fields_.path_of(name));
        }
        return *value;
    }

    Result<LinearScaling> read_linear() {
        WEIR_TRY_ASSIGN(const double factor, require_factor("factor"));
        return LinearScaling{factor};
    }

    Result<Llama3Scaling> read_llama3() {
        Llama3Scaling out{.original_context = original_};
        WEIR_TRY_ASSIGN(out.factor, require_factor("factor"));
        WEIR_TRY_ASSIGN(out.low_freq_factor, require_factor("low_freq_factor"));
        WEIR_TRY_ASSIGN(out.high_freq_factor, require_factor("high_freq_factor"));
        return out;
    }

    Result<YarnScaling> read_yarn() {
        YarnScaling out{.original_context = original_};
        out.factor = static_cast<double>(config_.context_tokens) / original_;
        WEIR_TRY(fields_.read("factor", in_range(0.0, kFactorMax), out.factor));
        WEIR_TRY(fields_.read("beta_fast", in_range(0.0, kFactorMax), out.beta_fast));
        WEIR_TRY(fields_.read("beta_slow", in_range(0.0, kFactorMax), out.beta_slow));
        WEIR_TRY(fields_.read("truncate", out.truncate));
        std::optional<double> attention;
        std::optional<double> mscale;
        std::optional<double> mscale_all;
        WEIR_TRY(fields_.read("attention_factor", in_range(0.0, kFactorMax), attention));
        WEIR_TRY(fields_.read("mscale", in_range(0.0, kFactorMax), mscale));
        WEIR_TRY(fields_.read("mscale_all_dim", in_range(0.0, kFactorMax), mscale_all));
        out.attention_factor = yarn_mscale(out.factor, 1);
        if (mscale.value_or(0) != 0 && mscale_all.value_or(0) != 0) {
            out.attention_factor =
                yarn_mscale(out.factor, *mscale) / yarn_mscale(out.factor, *mscale_all);
        }
        out.attention_factor = attention.value_or(out.attention_factor);
        return out;
    }

    json::Fields fields_;
    const TransformerConfig& config_;
    uint32_t original_ = 0;
};

// Both forms: `rope_parameters` (everything in one dictionary), or `rope_theta` with
// `rope_scaling`.
Result<void> read_rope(JsonConfig& in, TransformerConfig& out) {
    out.rope.rotary_dim = out.head_dim;
    WEIR_TRY(in.fields().read("rope_theta", in_range(0.0, 1e15), out.rope.theta));
    std::optional<uint32_t> original;
    WEIR_TRY(
        in.fields().read("original_max_position_embeddings", in_range(1u, kContextMax), original));
    for (const std::string_view name : {"rope_parameters", "rope_scaling"}) {
        WEIR_TRY_ASSIGN(const json::Object* object, in.fields().object(name));
        if (object == nullptr) {
            continue;
        }
        if (object->find("full_attention") != nullptr ||
            object->find("sliding_attention") != nullptr) {
            return unsupported("{}: parameters by layer type are not supported for this family",
                               in.fields().path_of(name));
        }
        json::Fields fields(*object, in.fields().path_of(name));
        WEIR_TRY(fields.read("rope_theta", in_range(0.0, 1e15), out.rope.theta));
        WEIR_TRY_ASSIGN(out.rope.scaling, RopeReader(std::move(fields), out).read(original));
        return {};
    }
    return {};
}

// Reads everything but the name.
Result<TransformerConfig> read_decoder(JsonConfig& in, std::string_view model_type) {
    const Family* family = find_family_of_json(model_type);
    if (family == nullptr) {
        return unsupported("{}: \"{}\" is not supported by this build",
                           in.fields().path_of("model_type"), model_type);
    }
    TransformerConfig config;
    config.architecture = family->gguf_architectures.front();
    WEIR_TRY(refuse_foreign(in));
    WEIR_TRY(refuse_named(in, kParts));
    WEIR_TRY(read_shape(in, config));
    WEIR_TRY(read_rope(in, config));
    config.context_tokens = context_reached(config.context_tokens, config.rope.scaling);
    WEIR_TRY(family->finish_json(in, config));
    return config;
}

Result<TransformerConfig> read_wrapped(JsonConfig& whole, const Wrapped& wrapped) {
    WEIR_TRY(refuse_foreign(whole));
    WEIR_TRY_ASSIGN(const json::Object* text, whole.fields().object("text_config"));
    if (text == nullptr) {
        return data_corrupt("{} is missing", whole.fields().path_of("text_config"));
    }
    JsonConfig in(*text, whole.fields().path_of("text_config"));
    std::string type(wrapped.text);
    WEIR_TRY(in.fields().read("model_type", type));
    if (type != wrapped.text) {
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
    const auto* wrapped = std::ranges::find(kWrapped, *model_type, &Wrapped::whole);
    WEIR_TRY_ASSIGN(TransformerConfig config, wrapped == std::end(kWrapped)
                                                  ? read_decoder(in, *model_type)
                                                  : read_wrapped(in, *wrapped));
    WEIR_TRY(in.fields().read("_name_or_path", config.name));
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
