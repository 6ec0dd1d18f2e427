#include "model/convert/same_config.h"

#include <cmath>

namespace weir::model {

namespace {

constexpr double kFloatRounding = 1.2e-7;  // of a number that went through float32, and its product

bool is_close(double a, double b) {
    return a == b || std::abs(a - b) <= kFloatRounding * std::max(std::abs(a), std::abs(b));
}

double attention_scale_of(const TransformerConfig& config) {
    return config.attention_scale != 0 ? config.attention_scale
                                       : 1 / std::sqrt(static_cast<double>(config.head_dim));
}

// A llama3 scaling and a list of divisors in a tensor say the same; whoever makes the one of the
// other has checked it.
bool is_by_divisors(const RopeScaling& scaling) {
    return std::holds_alternative<std::monostate>(scaling) ||
           std::holds_alternative<Llama3Scaling>(scaling) ||
           std::holds_alternative<ProportionalScaling>(scaling);
}

bool is_same(const RopeScaling& a, const RopeScaling& b) {
    if (is_by_divisors(a) && is_by_divisors(b)) {
        return true;
    }
    if (a.index() != b.index()) {
        return false;
    }
    if (const auto* linear = std::get_if<LinearScaling>(&a)) {
        return is_close(linear->factor, std::get<LinearScaling>(b).factor);
    }
    if (const auto* yarn = std::get_if<YarnScaling>(&a)) {
        const auto& other = std::get<YarnScaling>(b);
        return is_close(yarn->factor, other.factor) &&
               yarn->original_context == other.original_context &&
               is_close(yarn->beta_fast, other.beta_fast) &&
               is_close(yarn->beta_slow, other.beta_slow) && yarn->truncate == other.truncate &&
               is_close(yarn->attention_factor, other.attention_factor);
    }
    const auto& longrope = std::get<LongropeScaling>(a);
    const auto& other = std::get<LongropeScaling>(b);
    return longrope.original_context == other.original_context &&
           is_close(longrope.attention_factor, other.attention_factor);
}

bool is_same(const std::optional<QueryTemperature>& a, const std::optional<QueryTemperature>& b) {
    if (!a || !b) {
        return !a && !b;
    }
    return is_close(a->beta, b->beta) && a->length == b->length && a->shift == b->shift &&
           a->rotated_too == b->rotated_too;
}

bool is_same(const std::optional<MoeConfig>& a, const std::optional<MoeConfig>& b) {
    if (!a || !b) {
        return !a && !b;
    }
    const RouterRule& r = a->router;
    const RouterRule& s = b->router;
    const bool same_rule = r.experts == s.experts && r.chosen == s.chosen && r.score == s.score &&
                           r.groups == s.groups && r.groups_chosen == s.groups_chosen &&
                           (r.groups == 1 || r.group_score == s.group_score) &&
                           r.normalize == s.normalize &&
                           (!r.normalize || r.normalize_epsilon == s.normalize_epsilon) &&
                           is_close(double{r.scale}, double{s.scale});
    const bool same_clamp =
        a->clamp.has_value() == b->clamp.has_value() &&
        (!a->clamp || (a->clamp->limit == b->clamp->limit && a->clamp->alpha == b->clamp->alpha));
    return same_rule && same_clamp && a->router_bias == b->router_bias &&
           a->selection_bias == b->selection_bias && a->width == b->width &&
           a->expert_bias == b->expert_bias && a->scale_input == b->scale_input &&
           a->shared_width == b->shared_width && a->shared_gate == b->shared_gate &&
           a->layers == b->layers;
}

bool is_same(const std::optional<LatentConfig>& a, const std::optional<LatentConfig>& b) {
    if (!a || !b) {
        return !a && !b;
    }
    return a->query_rank == b->query_rank && a->kv_rank == b->kv_rank &&
           a->nope_dim == b->nope_dim && a->rope_dim == b->rope_dim &&
           a->value_dim == b->value_dim && a->norm_epsilon == b->norm_epsilon;
}

bool is_same(const std::optional<DeltaNetConfig>& a, const std::optional<DeltaNetConfig>& b) {
    if (!a || !b) {
        return !a && !b;
    }
    return a->taps == b->taps && a->key_heads == b->key_heads && a->value_heads == b->value_heads &&
           a->key_dim == b->key_dim && a->value_dim == b->value_dim && a->layers == b->layers;
}

struct Difference {
    std::string_view what;
    bool differs;
};

}  // namespace

Result<void> check_same_config(const TransformerConfig& source, const TransformerConfig& made,
                               std::string_view format) {
    const auto& a = source;
    const auto& b = made;
    const bool is_gemma = a.architecture == "gemma2" || a.architecture == "gemma3";
    const Difference found[] = {
        {"sizes", a.layers != b.layers || a.hidden != b.hidden || a.heads != b.heads ||
                      a.vocabulary != b.vocabulary},
        {"context", a.context_tokens != b.context_tokens},
        {"norms", a.norm != b.norm || a.norms_after != b.norms_after ||
                      !is_close(double{a.norm_epsilon}, double{b.norm_epsilon})},
        {"order of attention and feed-forward", a.block != b.block},
        {"residual factor", !is_close(double{a.residual_scale}, double{b.residual_scale})},
        {"embedding factor", !is_close(a.embedding_scale, b.embedding_scale) ||
                                 a.rounds_embedding_scale != b.rounds_embedding_scale},
        {"logit factor", !is_close(double{a.logit_scale}, double{b.logit_scale})},
        {"soft caps", !is_close(double{a.logit_soft_cap}, double{b.logit_soft_cap}) ||
                          !is_close(double{a.attention_soft_cap}, double{b.attention_soft_cap})},
        {"per-layer inputs",
         a.layer_scales != b.layer_scales || a.per_layer_width != b.per_layer_width},
        {"norms of queries and keys", a.qk_norm != b.qk_norm || a.value_norm != b.value_norm},
        {is_gemma ? "query_pre_attn_scalar" : "scale of attention",
         !is_close(attention_scale_of(a), attention_scale_of(b))},
        {"sinks and gates of attention", a.attention_sinks != b.attention_sinks ||
                                             a.attention_output_gate != b.attention_output_gate},
        {"temperature of queries", !is_same(a.temperature, b.temperature)},
        {"recurrent layers", !is_same(a.delta_net, b.delta_net)},
        {"feed-forward form", a.mlp != b.mlp || a.activation != b.activation},
        {"experts", !is_same(a.moe, b.moe)},
        {"compressed keys and values", !is_same(a.latent, b.latent)},
        {"ropes", a.ropes.size() != b.ropes.size()},
        {"segments", a.token_types != b.token_types},
        {"first position", a.padding != b.padding},
    };
    const auto refuse = [&](std::string_view what, std::string_view where) {
        return unsupported("{} cannot say the {} of this {} model{}", format, what, a.architecture,
                           where);
    };
    for (const auto& [what, differs] : found) {
        if (differs) {
            return refuse(what, "");
        }
    }
    for (size_t i = 0; i < a.ropes.size(); ++i) {
        const RopeConfig& rope = a.ropes[i];
        const RopeConfig& other = b.ropes[i];
        if (!is_close(rope.theta, other.theta) || rope.rotary_dim != other.rotary_dim ||
            rope.pairs != other.pairs || !is_same(rope.scaling, other.scaling)) {
            return refuse("rotation", "");
        }
    }
    for (size_t i = 0; i < a.layer.size(); ++i) {
        const LayerConfig& layer = a.layer[i];
        const LayerConfig& other = b.layer[i];
        const std::string where = ": layer " + std::to_string(i);
        if (layer.visible != other.visible) {
            return refuse("windows", where);
        }
        if (layer.rope != other.rope) {
            return refuse("rotated layers", where);
        }
        // Gemma 4's experts stand beside the dense layer.
        const bool is_dense = !a.moe || !a.moe->layers[i] || a.architecture == "gemma4";
        if (layer.kv_heads != other.kv_heads || layer.head_dim != other.head_dim ||
            (is_dense && layer.feed_forward != other.feed_forward) || layer.kv_of != other.kv_of ||
            (!layer.kv_of && layer.keys_are_values != other.keys_are_values)) {
            return refuse("shapes", where);
        }
    }
    return {};
}

}  // namespace weir::model
