#include "model/convert/hf_config.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/convert/hf_ropes.h"
#include "model/convert/mxfp4_parts.h"
#include "model/family.h"

namespace weir::model {

namespace {

using json::Array;
using json::Object;
using json::Value;

struct TypeRow {
    std::string_view architecture;
    std::string_view model_type;
    std::string_view class_name;
};
constexpr TypeRow kTypes[] = {
    {"llama", "llama", "LlamaForCausalLM"},
    {"mistral3", "ministral3", "Ministral3ForCausalLM"},
    {"qwen2", "qwen2", "Qwen2ForCausalLM"},
    {"qwen3", "qwen3", "Qwen3ForCausalLM"},
    {"qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM"},
    {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM"},
    {"qwen3next", "qwen3_next", "Qwen3NextForCausalLM"},
    {"qwen35", "qwen3_5_text", "Qwen3_5ForCausalLM"},
    {"qwen35moe", "qwen3_5_moe_text", "Qwen3_5MoeForCausalLM"},
    {"gemma2", "gemma2", "Gemma2ForCausalLM"},
    {"gemma3", "gemma3_text", "Gemma3ForCausalLM"},
    {"gemma4", "gemma4_text", "Gemma4ForCausalLM"},
    {"gpt-oss", "gpt_oss", "GptOssForCausalLM"},
    {"phi3", "phi3", "Phi3ForCausalLM"},
    {"command-r", "cohere", "CohereForCausalLM"},
    {"cohere2", "cohere2", "Cohere2ForCausalLM"},
    {"granite", "granite", "GraniteForCausalLM"},
    {"stablelm", "stablelm", "StableLmForCausalLM"},
    {"starcoder2", "starcoder2", "Starcoder2ForCausalLM"},
    {"deepseek2", "deepseek_v2", "DeepseekV2ForCausalLM"},
    {"llama4", "llama4_text", "Llama4ForCausalLM"},
    {"bert", "bert", "BertModel"},
};

// As the parser has whole numbers.
Value whole(uint64_t number) {
    return static_cast<int64_t>(number);
}

class ConfigWriter {
  public:
    ConfigWriter(const TransformerConfig& config, const TensorIndex& index)
        : config_(config), index_(index) {}

    Result<Object> write() {
        WEIR_TRY(write_type());
        WEIR_TRY_ASSIGN(const Object ropes, ropes_json_of(config_, index_));
        write_shape();
        for (const auto& [name, value] : ropes) {
            out_.set(name, value);
        }
        write_biases();
        write_windows();
        write_factors();
        if (config_.moe) {
            write_experts(*config_.moe);
        }
        if (config_.latent) {
            write_latent(*config_.latent);
        }
        if (config_.delta_net) {
            write_recurrent(*config_.delta_net);
        }
        return std::move(out_);
    }

  private:
    bool is(std::string_view architecture) const { return config_.architecture == architecture; }
    bool is_any(std::initializer_list<std::string_view> architectures) const {
        return std::ranges::find(architectures, config_.architecture) != architectures.end();
    }
    bool has(std::string_view tensor) const { return index_.find(tensor) != nullptr; }
    void size(std::string name, uint64_t value) { out_.set(std::move(name), whole(value)); }
    void number(std::string name, double value) { out_.set(std::move(name), Value(value)); }

    bool has_windows() const {
        return std::ranges::any_of(config_.layer, [](const LayerConfig& layer) {
            return layer.visible.sight == Sight::Window;
        });
    }
    bool is_deepseek_v3() const {
        return config_.moe && config_.moe->router.score == RouterScore::Sigmoid;
    }

    Result<void> write_type() {
        const auto* row = std::ranges::find(kTypes, config_.architecture, &TypeRow::architecture);
        if (row == std::end(kTypes)) {
            return unsupported("a {} model cannot be written as a Hugging Face folder",
                               config_.architecture);
        }
        std::string_view type = row->model_type;
        std::string_view class_name = row->class_name;
        if (is("llama") && config_.moe) {
            type = "mixtral";
            class_name = "MixtralForCausalLM";
        } else if (is("llama") && has_windows()) {
            type = "mistral";
            class_name = "MistralForCausalLM";
        } else if (is("deepseek2") && is_deepseek_v3()) {
            type = "deepseek_v3";
            class_name = "DeepseekV3ForCausalLM";
        }
        family_ = find_family_of_json(type);
        out_.set("architectures", Value(Array{Value(class_name)}));
        out_.set("model_type", Value(type));
        if (!config_.name.empty()) {
            out_.set("_name_or_path", Value(config_.name));
        }
        return {};
    }

    void write_shape() {
        const LayerConfig& first = config_.layer.front();
        const JsonDefaults& names = family_->json;
        size("num_hidden_layers", config_.layers);
        size("hidden_size", config_.hidden);
        size("intermediate_size", config_.feed_forward);
        size("num_attention_heads", config_.heads);
        size("num_key_value_heads", config_.latent ? config_.heads : first.kv_heads);
        if (config_.latent) {
            size("head_dim", config_.latent->rope_dim);
        } else if (!is("bert")) {
            size("head_dim", config_.head_dim);
        }
        size("vocab_size", config_.vocabulary);
        size("max_position_embeddings", config_.context_tokens);
        number(std::string(names.epsilon_name), double{config_.norm_epsilon});
        out_.set(std::string(names.activation_name),
                 Value(config_.activation == Activation::Silu       ? "silu"
                       : config_.activation == Activation::GeluTanh ? "gelu_pytorch_tanh"
                                                                    : "gelu"));
        out_.set("tie_word_embeddings", Value(!has("output.weight")));
        if (is("bert")) {
            size("type_vocab_size", config_.token_types);
        }
        if (is("gemma4")) {
            write_gemma4_heads();
        }
    }

    void write_gemma4_heads() {
        const LayerConfig* global = nullptr;
        const LayerConfig* local = nullptr;
        uint64_t shared = 0;
        uint32_t widest = 0;
        for (const LayerConfig& layer : config_.layer) {
            if (!layer.kv_of) {  // the others are like the layer that they read
                (layer.visible.sight == Sight::All ? global : local) = &layer;
            }
            shared += layer.kv_of ? 1 : 0;
            widest = std::max(widest, layer.feed_forward);
        }
        local = local == nullptr ? global : local;
        global = global == nullptr ? local : global;
        size("head_dim", local->head_dim);
        size("num_key_value_heads", local->kv_heads);
        size("global_head_dim", global->head_dim);
        size("num_global_key_value_heads", global->kv_heads);
        out_.set("attention_k_eq_v", Value(global->keys_are_values));
        size("num_kv_shared_layers", shared);
        size("intermediate_size", config_.layer.front().feed_forward);
        out_.set("use_double_wide_mlp", Value(widest > config_.layer.front().feed_forward));
        size("hidden_size_per_layer_input", config_.per_layer_width);
        size("vocab_size_per_layer_input", config_.vocabulary);
    }

    void write_biases() {
        const bool q = has("blk.0.attn_q.bias") || has("blk.0.attn_qkv.bias") ||
                       has("blk.0.attn_q_a.bias") || has("blk.0.attn_kv_a_mqa.bias");
        if (is("starcoder2")) {
            out_.set("use_bias", Value(q));
        } else if (is("stablelm")) {
            out_.set("use_qkv_bias", Value(q));
            out_.set("qk_layernorm", Value(config_.qk_norm == HeadNorm::LayerEachHead));
            out_.set("use_parallel_residual", Value(config_.block == BlockForm::Parallel));
        } else if (is("qwen2moe")) {
            out_.set("qkv_bias", Value(q));
        } else if (!is_any({"qwen2", "bert", "phi3"})) {
            out_.set("attention_bias", Value(q || has("blk.0.attn_output.bias")));
        }
        if (is_any({"llama", "granite"}) && !config_.moe) {
            out_.set("mlp_bias", Value(has("blk.0.ffn_up.bias")));
        }
        if (is("command-r")) {
            out_.set("use_qk_norm", Value(config_.qk_norm == HeadNorm::LayerEachHead));
        }
    }

    void write_windows() {
        if (is("llama4")) {
            write_chunks();
            return;
        }
        uint32_t window = 0;
        Array types;
        for (const LayerConfig& layer : config_.layer) {
            const bool slides = layer.visible.sight == Sight::Window;
            window = slides ? layer.visible.tokens : window;
            types.emplace_back(slides ? "sliding_attention" : "full_attention");
        }
        if (is("llama") && window == 0 && !config_.moe) {
            return;  // of Llama, whose class has no such member
        }
        out_.set("sliding_window", window == 0 ? Value() : whole(window));
        if (is_any({"qwen2", "qwen3", "qwen2moe", "qwen3moe"})) {
            out_.set("use_sliding_window", Value(window != 0));
        }
        if (window != 0 || is_any({"gemma2", "gemma3", "gemma4", "cohere2", "gpt-oss"})) {
            out_.set("layer_types", Value(std::move(types)));
        }
    }

    void write_chunks() {
        uint64_t chunk = 0;
        Array rotates;
        Array with_experts;
        for (uint32_t i = 0; i < config_.layers; ++i) {
            const LayerConfig& layer = config_.layer[i];
            chunk = layer.visible.sight == Sight::Chunk ? layer.visible.tokens : chunk;
            rotates.emplace_back(layer.rope ? 1 : 0);
            if (config_.moe->layers[i]) {
                with_experts.push_back(whole(i));
            }
        }
        out_.set("attention_chunk_size", chunk == 0 ? Value() : whole(chunk));
        out_.set("no_rope_layers", Value(std::move(rotates)));
        out_.set("moe_layers", Value(std::move(with_experts)));
        out_.set("use_qk_norm", Value(config_.qk_norm == HeadNorm::UnitAfterRope));
        out_.set("attn_temperature_tuning", Value(config_.temperature.has_value()));
        if (config_.temperature) {
            number("attn_scale", config_.temperature->beta);
            size("floor_scale", config_.temperature->length);
        }
        size("intermediate_size", config_.moe->width);
        size("intermediate_size_mlp", config_.feed_forward);
    }

    void write_factors() {
        if (is("gemma2") || is("gemma3")) {
            const double scale = config_.attention_scale;
            // 1 / scale^2 was a whole number of elements before it was a scale.
            number("query_pre_attn_scalar",
                   scale == 0 ? config_.head_dim : std::round(1e6 / (scale * scale)) / 1e6);
        }
        if (is_any({"gemma2", "gemma3", "gemma4"})) {
            out_.set("final_logit_softcapping",
                     config_.logit_soft_cap == 0 ? Value() : Value(double{config_.logit_soft_cap}));
        }
        if (is("gemma2")) {
            out_.set("attn_logit_softcapping", config_.attention_soft_cap == 0
                                                   ? Value()
                                                   : Value(double{config_.attention_soft_cap}));
        }
        if (is("command-r") || is("cohere2")) {
            number("logit_scale", double{config_.logit_scale});
        }
        if (is("granite")) {
            number("attention_multiplier",
                   config_.attention_scale == 0
                       ? 1 / std::sqrt(static_cast<double>(config_.head_dim))
                       : config_.attention_scale);
            number("embedding_multiplier", config_.embedding_scale);
            number("residual_multiplier", double{config_.residual_scale});
            number("logits_scaling", double{static_cast<float>(1 / double{config_.logit_scale})});
        }
    }

    void write_experts(const MoeConfig& moe) {
        const RouterRule& rule = moe.router;
        const bool is_qwen = config_.architecture.starts_with("qwen");
        size(is("deepseek2")           ? "n_routed_experts"
             : is_qwen || is("gemma4") ? "num_experts"
                                       : "num_local_experts",
             rule.experts);
        size(is("gemma4") ? "top_k_experts" : "num_experts_per_tok", rule.chosen);
        if (is("llama") || is("gpt-oss")) {
            size("intermediate_size", moe.width);
        }
        if (is("gpt-oss") && has_mxfp4_experts(index_)) {
            write_mxfp4();
        }
        if (is("gpt-oss") && moe.clamp) {
            number("swiglu_limit", double{moe.clamp->limit});
        }
        if (is("gemma4")) {
            out_.set("enable_moe_block", Value(true));
        }
        if (is_qwen || is("gemma4")) {
            size("moe_intermediate_size", moe.width);
        }
        if (is_qwen && moe.shared_width != 0) {
            size("shared_expert_intermediate_size", moe.shared_width);
        }
        if (is_any({"qwen2moe", "qwen3moe", "qwen3next"})) {
            write_sparse_layers(moe);
        }
    }

    // As in the published folders.
    void write_mxfp4() {
        Object quantization;
        quantization.set("quant_method", Value("mxfp4"));
        quantization.set(
            "modules_to_not_convert",
            Value(Array{Value("model.layers.*.self_attn"), Value("model.layers.*.mlp.router"),
                        Value("model.embed_tokens"), Value("lm_head")}));
        out_.set("quantization_config", Value(std::move(quantization)));
    }

    void write_sparse_layers(const MoeConfig& moe) {
        out_.set("norm_topk_prob", Value(moe.router.normalize));
        size("decoder_sparse_step", 1);
        Array dense;
        for (uint32_t i = 0; i < config_.layers; ++i) {
            if (!moe.layers[i]) {
                dense.push_back(whole(i));
            }
        }
        out_.set("mlp_only_layers", Value(std::move(dense)));
    }

    void write_latent(const LatentConfig& latent) {
        out_.set("q_lora_rank", latent.query_rank == 0 ? Value() : whole(latent.query_rank));
        size("kv_lora_rank", latent.kv_rank);
        size("qk_nope_head_dim", latent.nope_dim);
        size("qk_rope_head_dim", latent.rope_dim);
        size("v_head_dim", latent.value_dim);
        if (!config_.moe) {
            return;
        }
        const MoeConfig& moe = *config_.moe;
        const RouterRule& rule = moe.router;
        size("moe_intermediate_size", moe.width);
        size("n_shared_experts", moe.shared_width / moe.width);
        const auto first = std::ranges::find(moe.layers, true) - moe.layers.begin();
        size("first_k_dense_replace", static_cast<uint64_t>(first));
        size("moe_layer_freq", 1);
        out_.set("scoring_func", Value(is_deepseek_v3() ? "sigmoid" : "softmax"));
        out_.set("topk_method", Value(is_deepseek_v3()  ? "noaux_tc"
                                      : rule.groups > 1 ? "group_limited_greedy"
                                                        : "greedy"));
        size("n_group", rule.groups);
        size("topk_group", rule.groups_chosen);
        out_.set("norm_topk_prob", Value(rule.normalize));
        number("routed_scaling_factor", double{rule.scale});
    }

    void write_recurrent(const DeltaNetConfig& net) {
        size("linear_conv_kernel_dim", net.taps);
        size("linear_num_key_heads", net.key_heads);
        size("linear_num_value_heads", net.value_heads);
        size("linear_key_head_dim", net.key_dim);
        size("linear_value_head_dim", net.value_dim);
        out_.set("attn_output_gate", Value(config_.attention_output_gate));
        Array types;
        for (const bool recurrent : net.layers) {
            types.emplace_back(recurrent ? "linear_attention" : "full_attention");
        }
        out_.set("layer_types", Value(std::move(types)));
    }

    const TransformerConfig& config_;
    const TensorIndex& index_;
    const Family* family_ = nullptr;
    Object out_;
};

}  // namespace

Result<json::Object> config_json_of(const TransformerConfig& config, const TensorIndex& index) {
    return ConfigWriter(config, index).write();
}

}  // namespace weir::model
