#include "model/weights.h"

#include <cmath>

#include "model/family.h"

namespace weir::model {

namespace {

Result<void> bind_output(WeightBinder& in, const TransformerConfig& config, DecoderWeights& out) {
    const bool own =
        config.output_matrix == OutputMatrix::Own ||
        (config.output_matrix == OutputMatrix::OwnIfPresent && in.has("output.weight"));
    if (!own) {
        out.output.weight = out.embedding;
        return {};
    }
    WEIR_TRY_ASSIGN(out.output,
                    in.linear("output", config.vocabulary, config.hidden, BiasRule::Never));
    return {};
}

// Divisors of the frequencies of the first rope, where the file has them.
Result<void> bind_rope(WeightBinder& in, const TransformerConfig& config, RopeTensors& out) {
    struct Named {
        const char* name;
        std::span<const float>* divisors;
    };
    const Named tensors[] = {{"rope_freqs.weight", &out.divisors},
                             {"rope_factors_short.weight", &out.short_divisors},
                             {"rope_factors_long.weight", &out.long_divisors}};
    for (const auto& [name, divisors] : tensors) {
        if (!in.has(name)) {
            continue;
        }
        WEIR_TRY_ASSIGN(*divisors, in.vector(name, config.ropes.front().rotary_dim / 2));
        for (const float divisor : *divisors) {  // none where it was only counted
            if (!std::isfinite(divisor) || divisor <= 0) {
                return data_corrupt("tensor {}: a divisor is not positive", name);
            }
        }
    }
    return {};
}

}  // namespace

Result<Block> bind_block(WeightBinder& in, const TransformerConfig& config, uint32_t layer) {
    Block block{.form = config.block, .residual_scale = config.residual_scale};
    const auto norm = [&](std::string_view stem, std::optional<Norm>& out) -> Result<void> {
        WEIR_TRY_ASSIGN(out, in.norm(stem, config.hidden));
        return {};
    };
    if (config.block == BlockForm::NormBehind) {
        WEIR_TRY(norm("attn_output_norm", block.after_mixer));
        WEIR_TRY(norm("layer_output_norm", block.after_feed_forward));
    } else {
        WEIR_TRY(norm("attn_norm", block.before_mixer));
    }
    if (config.block == BlockForm::Sequential) {
        WEIR_TRY(norm(config.feed_forward_norm, block.before_feed_forward));
    }
    if (config.norms_after) {
        WEIR_TRY(norm("post_attention_norm", block.after_mixer));
        WEIR_TRY(norm("post_ffw_norm", block.after_feed_forward));
    }
    WEIR_TRY_ASSIGN(block.mixer, config.family->make_mixer(in, config, layer));
    WEIR_TRY_ASSIGN(block.feed_forward, config.family->make_feed_forward(in, config, layer));
    if (config.per_layer_width != 0) {
        WEIR_TRY_ASSIGN(block.layer_input, bind_layer_input_gate(in, config, layer));
    }
    if (config.layer_scales) {
        WEIR_TRY_ASSIGN(block.output_scale, in.vector("layer_output_scale.weight", 1));
    }
    return block;
}

Result<DecoderWeights> bind_weights(const TensorIndex& index, const TransformerConfig& config,
                                    Purpose purpose) {
    WeightBinder in(index, config, purpose);
    DecoderWeights out;
    WEIR_TRY_ASSIGN(out.embedding,
                    in.matrix("token_embd.weight", config.vocabulary, config.hidden));
    if (config.per_layer_width != 0) {
        WEIR_TRY_ASSIGN(out.layer_inputs, bind_layer_inputs(in, config));
    }
    for (uint32_t layer = 0; layer < config.layers; ++layer) {
        in.enter_layer(layer);
        WEIR_TRY_ASSIGN(Block block, bind_block(in, config, layer));
        out.blocks.push_back(std::move(block));
    }
    for (uint32_t i = 0; i < config.draft_layers; ++i) {
        in.ignore_layer(config.layers + i);
    }
    in.leave_layer();
    WEIR_TRY_ASSIGN(out.output_norm, in.norm("output_norm", config.hidden));
    WEIR_TRY(bind_output(in, config, out));
    WEIR_TRY(bind_rope(in, config, out.rope));
    if (!config.family->draft_tensors.empty()) {
        in.ignore_prefix(config.family->draft_tensors);
    }
    WEIR_TRY(in.refuse_unbound());
    out.counts = in.counts();
    out.owned = in.take_owned();
    return out;
}

}  // namespace weir::model
