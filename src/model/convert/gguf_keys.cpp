#include "model/convert/gguf_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "model/rope.h"

namespace weir::model {

namespace {

// A rule "every n-th from the first on": what many keys say about layers.
struct EveryNth {
    uint32_t first = 0;
    uint32_t step = 1;
};

std::optional<EveryNth> find_rule(const std::vector<bool>& layers, bool may_skip_first) {
    const auto count = static_cast<uint32_t>(layers.size());
    for (uint32_t step = 1; step <= count; ++step) {
        for (uint32_t first = 0; first <= (may_skip_first ? count : 0); ++first) {
            bool fits = true;
            for (uint32_t i = 0; i < count && fits; ++i) {
                fits = layers[i] == (i >= first && (i + 1) % step == 0);
            }
            if (fits) {
                return EveryNth{first, step};
            }
        }
    }
    return std::nullopt;
}

class KeyWriter {
  public:
    KeyWriter(const TransformerConfig& config, GgufHead& head) : config_(config), head_(head) {}

    void write() {
        head_.add_text("general.architecture", config_.architecture);
        if (!config_.name.empty()) {
            head_.add_text("general.name", config_.name);
        }
        write_shape();
        write_ropes();
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
        if (config_.temperature) {
            write_temperature(*config_.temperature);
        }
        if (is("bert")) {
            flag("attention.causal", false);
            head_.add_u32("tokenizer.ggml.token_type_count", config_.token_types);
        }
    }

  private:
    bool is(std::string_view architecture) const { return config_.architecture == architecture; }
    std::string key(std::string_view name) const {
        return fmt::format("{}.{}", config_.architecture, name);
    }
    void size(std::string_view name, uint32_t value) { head_.add_u32(key(name), value); }
    void number(std::string_view name, double value) {
        head_.add_f32(key(name), static_cast<float>(value));
    }
    void flag(std::string_view name, bool value) { head_.add_bool(key(name), value); }
    void text(std::string_view name, std::string_view value) { head_.add_text(key(name), value); }

    // One number for all layers, or a list where they differ.
    template <typename Member>
    void by_layer(std::string_view name, Member member) {
        std::vector<uint32_t> values;
        for (const LayerConfig& layer : config_.layer) {
            values.push_back(layer.*member);
        }
        if (std::ranges::adjacent_find(values, std::not_equal_to<>()) == values.end()) {
            size(name, values.front());
        } else {
            head_.add_u32s(key(name), values);
        }
    }

    void write_shape() {
        size("block_count", config_.layers);
        size("context_length", config_.context_tokens);
        size("embedding_length", config_.hidden);
        size("attention.head_count", config_.heads);
        size("vocab_size", config_.vocabulary);
        by_layer("feed_forward_length", &LayerConfig::feed_forward);
        if (config_.latent) {
            size("attention.head_count_kv", config_.heads);
        } else {
            by_layer("attention.head_count_kv", &LayerConfig::kv_heads);
        }
        number(config_.norm == NormKind::Rms ? "attention.layer_norm_rms_epsilon"
                                             : "attention.layer_norm_epsilon",
               double{config_.norm_epsilon});
        if (is("gemma4")) {
            write_gemma4_heads();
        } else if (!config_.latent && !is("bert")) {
            size("attention.key_length", config_.head_dim);
            size("attention.value_length", config_.head_dim);
        }
    }

    void write_gemma4_heads() {
        uint32_t global = config_.head_dim;
        uint32_t local = config_.head_dim;
        uint32_t shared = 0;
        for (const LayerConfig& layer : config_.layer) {
            (layer.visible.sight == Sight::All ? global : local) = layer.head_dim;
            shared += layer.kv_of ? 1 : 0;
        }
        size("attention.key_length", global);
        size("attention.value_length", global);
        size("attention.key_length_swa", local);
        size("attention.value_length_swa", local);
        size("attention.shared_kv_layers", shared);
        size("embedding_length_per_layer_input", config_.per_layer_width);
    }

    void write_ropes() {
        if (is("bert")) {
            return;
        }
        const RopeConfig& rope = config_.ropes.front();
        size("rope.dimension_count", rope.rotary_dim);
        number("rope.freq_base", rope.theta);
        if (config_.ropes.size() > 1) {
            number("rope.freq_base_swa", config_.ropes[1].theta);
        }
        if (const auto* linear = std::get_if<LinearScaling>(&rope.scaling)) {
            text("rope.scaling.type", "linear");
            number("rope.scaling.factor", linear->factor);
        } else if (const auto* yarn = std::get_if<YarnScaling>(&rope.scaling)) {
            write_yarn(*yarn);
        } else if (const auto* longrope = std::get_if<LongropeScaling>(&rope.scaling)) {
            size("rope.scaling.original_context_length", longrope->original_context);
            number("rope.scaling.attn_factor", longrope->attention_factor);
        }
    }

    void write_yarn(const YarnScaling& yarn) {
        text("rope.scaling.type", "yarn");
        number("rope.scaling.factor", yarn.factor);
        size("rope.scaling.original_context_length", yarn.original_context);
        number("rope.scaling.yarn_beta_fast", yarn.beta_fast);
        number("rope.scaling.yarn_beta_slow", yarn.beta_slow);
        const double usual = yarn_mscale(yarn.factor, 1);
        if (config_.latent) {
            // m^2 / sqrt(head): a tenth of what makes that m of the factor.
            const double m = std::sqrt(config_.attention_scale *
                                       std::sqrt(static_cast<double>(config_.head_dim)));
            if (yarn.factor > 1 && m != 1) {
                number("rope.scaling.yarn_log_multiplier", (m - 1) / std::log(yarn.factor));
            }
        } else if (std::abs(yarn.attention_factor - usual) > 1e-9) {
            number("rope.scaling.yarn_attn_factor", yarn.attention_factor);
        }
    }

    // How many layers there are from one that sees everything to the next, where a key is missing.
    uint32_t usual_pattern() const {
        return is("gemma2") || is("gpt-oss")  ? 2
               : is("cohere2")                ? 4
               : is("gemma3") || is("gemma4") ? 6
                                              : 0;
    }

    void write_windows() {
        const uint32_t usual = usual_pattern();
        uint32_t window = 0;
        bool is_usual = true;
        std::vector<bool> sliding;
        for (const LayerConfig& layer : config_.layer) {
            const bool slides = layer.visible.sight == Sight::Window;
            window = slides ? layer.visible.tokens : window;
            is_usual = is_usual && slides == (usual == 0 || (sliding.size() + 1) % usual != 0);
            sliding.push_back(slides);
        }
        if (is("llama4")) {
            write_chunks();
        } else if (window != 0 || usual != 0) {
            size("attention.sliding_window", window);
            if (window != 0 && usual != 0 && (!is_usual || is("gemma4"))) {
                head_.add_bools(key("attention.sliding_window_pattern"), sliding);
            }
        }
    }

    void write_chunks() {
        uint32_t chunk = 0;
        std::vector<bool> rotates;
        for (const LayerConfig& layer : config_.layer) {
            chunk = layer.visible.sight == Sight::Chunk ? layer.visible.tokens : chunk;
            rotates.push_back(layer.rope.has_value());
        }
        size("attention.sliding_window", chunk);
        head_.add_bools(key("attention.sliding_window_pattern"), rotates);
    }

    void write_factors() {
        if (is("gemma2")) {
            number("attn_logit_softcapping", double{config_.attention_soft_cap});
        }
        if (config_.logit_soft_cap != 0 || is("gemma2")) {
            number("final_logit_softcapping", double{config_.logit_soft_cap});
        }
        if (is("command-r") || is("cohere2")) {
            number("logit_scale", double{config_.logit_scale});
        }
        if (is("granite")) {
            number("attention.scale", config_.attention_scale);
            number("embedding_scale", config_.embedding_scale);
            number("residual_scale", double{config_.residual_scale});
            number("logit_scale", 1 / double{config_.logit_scale});
        }
        if (is("stablelm")) {
            flag("use_parallel_residual", config_.block == BlockForm::Parallel);
        }
    }

    void write_experts(const MoeConfig& moe) {
        const RouterRule& rule = moe.router;
        size("expert_count", rule.experts);
        size("expert_used_count", rule.chosen);
        size("expert_feed_forward_length", moe.width);
        if (rule.groups > 1) {
            size("expert_group_count", rule.groups);
            size("expert_group_used_count", rule.groups_chosen);
        }
        if (rule.scale != 1) {
            number("expert_weights_scale", double{rule.scale});
        }
        flag("expert_weights_norm", rule.normalize);
        if (rule.score == RouterScore::Sigmoid || rule.score == RouterScore::SigmoidOfChosen) {
            size("expert_gating_func", 2);
        } else if (config_.latent) {
            size("expert_gating_func", 1);
        }
        if (is("deepseek2") || is("llama4")) {
            size("expert_shared_count", is("llama4") ? 1 : moe.shared_width / moe.width);
        } else if (moe.shared_width != 0) {
            size("expert_shared_feed_forward_length", moe.shared_width);
        }
        if (const auto rule_of_layers = find_rule(moe.layers, true)) {
            if (rule_of_layers->first != 0) {
                size("leading_dense_block_count", rule_of_layers->first);
            }
            if (rule_of_layers->step != 1 || is("llama4")) {
                size("interleave_moe_layer_step", rule_of_layers->step);
            }
        }
    }

    void write_latent(const LatentConfig& latent) {
        if (latent.query_rank != 0) {
            size("attention.q_lora_rank", latent.query_rank);
        }
        size("attention.kv_lora_rank", latent.kv_rank);
        size("attention.key_length", latent.nope_dim + latent.rope_dim);
        size("attention.value_length", latent.value_dim);
    }

    void write_recurrent(const DeltaNetConfig& net) {
        size("ssm.conv_kernel", net.taps);
        size("ssm.state_size", net.key_dim);
        size("ssm.group_count", net.key_heads);
        size("ssm.time_step_rank", net.value_heads);
        size("ssm.inner_size", net.value_heads * net.value_dim);
        std::vector<bool> attention = net.layers;
        attention.flip();
        if (const auto rule = find_rule(attention, false)) {
            size("full_attention_interval", rule->step);
        } else {
            head_.add_bools(key("attention.recurrent_layers"), net.layers);
        }
    }

    void write_temperature(const QueryTemperature& temperature) {
        number("attention.temperature_scale", temperature.beta);
        if (is("mistral3")) {
            if (!std::holds_alternative<YarnScaling>(config_.ropes.front().scaling)) {
                size("rope.scaling.original_context_length", temperature.length);
            }
        } else {
            size("attention.temperature_length", temperature.length);
        }
    }

    const TransformerConfig& config_;
    GgufHead& head_;
};

}  // namespace

void add_config(const TransformerConfig& config, GgufHead& head) {
    KeyWriter(config, head).write();
}

}  // namespace weir::model
