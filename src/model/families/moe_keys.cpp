#include "model/families/moe_keys.h"

#include <algorithm>

namespace weir::model {

namespace {

// 0 and absent: as the family has it.
Result<void> read_gating(GgufConfig& in, RouterRule& rule) {
    constexpr std::string_view kName = "expert_gating_func";
    WEIR_TRY_ASSIGN(const auto said, in.size(kName));
    switch (said.value_or(0)) {
        case 0:
            return {};
        case 1:
            rule.score = RouterScore::Softmax;
            return {};
        case 2:
            rule.score = RouterScore::Sigmoid;
            return {};
        case 3:
            rule.score = RouterScore::SoftmaxOfChosen;
            return {};
        default:
            return unsupported("key {}: {} is not supported", in.key(kName), *said);
    }
}

Result<void> read_layers(GgufConfig& in, const TransformerConfig& model, MoeConfig& moe) {
    WEIR_TRY_ASSIGN(const auto dense, in.size("leading_dense_block_count"));
    WEIR_TRY_ASSIGN(const auto step, in.size("interleave_moe_layer_step"));
    if (step == 0u) {
        return data_corrupt("key {} is 0", in.key("interleave_moe_layer_step"));
    }
    moe.layers.assign(model.layers, false);
    for (uint32_t i = dense.value_or(0); i < model.layers; ++i) {
        moe.layers[i] = (i + 1) % step.value_or(1) == 0;
    }
    return {};
}

}  // namespace

Result<void> drop_draft_layers(GgufConfig& in, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(const auto count, in.size("nextn_predict_layers"));
    out.draft_layers = count.value_or(0);
    if (out.draft_layers >= out.layers) {
        return data_corrupt("key {}: {} of {} layers", in.key("nextn_predict_layers"),
                            out.draft_layers, out.layers);
    }
    out.layers -= out.draft_layers;
    out.layer.resize(out.layers);
    return {};
}

Result<void> read_gguf_moe(GgufConfig& in, uint32_t width_otherwise, const TransformerConfig& model,
                           MoeConfig& moe) {
    RouterRule& rule = moe.router;
    WEIR_TRY_ASSIGN(rule.experts, in.require_size("expert_count"));
    WEIR_TRY_ASSIGN(rule.chosen, in.require_size("expert_used_count"));
    WEIR_TRY_ASSIGN(const auto groups, in.size("expert_group_count"));
    WEIR_TRY_ASSIGN(const auto groups_chosen, in.size("expert_group_used_count"));
    if (groups.value_or(0) > 1) {
        rule.groups = *groups;
        rule.groups_chosen = groups_chosen.value_or(0) == 0 ? *groups : *groups_chosen;
    }
    WEIR_TRY_ASSIGN(const auto scale, in.number("expert_weights_scale"));
    if (scale.value_or(0) != 0) {
        rule.scale = static_cast<float>(*scale);
    }
    WEIR_TRY_ASSIGN(const auto normalize, in.flag("expert_weights_norm"));
    rule.normalize = normalize.value_or(rule.normalize);
    WEIR_TRY(read_gating(in, rule));
    WEIR_TRY_ASSIGN(const auto width, in.size("expert_feed_forward_length"));
    moe.width = width.value_or(0) == 0 ? width_otherwise : *width;
    return read_layers(in, model, moe);
}

Result<uint32_t> read_json_experts(JsonConfig& in, uint32_t otherwise) {
    std::optional<uint32_t> experts;
    for (const std::string_view name : {"num_local_experts", "num_experts", "n_routed_experts"}) {
        WEIR_TRY_ASSIGN(const auto said, in.size(name));
        if (said && experts && *said != *experts) {
            return data_corrupt("{} is {}, but another key says {} experts",
                                in.fields().path_of(name), *said, *experts);
        }
        experts = said ? said : experts;
    }
    return experts.value_or(otherwise);
}

Result<std::optional<std::vector<uint32_t>>> read_layer_numbers(JsonConfig& in,
                                                                std::string_view name,
                                                                uint32_t layers) {
    WEIR_TRY_ASSIGN(const json::Array* array, in.fields().array(name));
    if (array == nullptr) {
        return std::nullopt;
    }
    std::vector<uint32_t> numbers;
    for (const json::Value& value : *array) {
        const auto* number = std::get_if<int64_t>(&value.storage());
        if (number == nullptr || *number < 0 || *number >= layers) {
            return data_corrupt("{}[{}] is no layer of {}", in.fields().path_of(name),
                                numbers.size(), layers);
        }
        numbers.push_back(static_cast<uint32_t>(*number));
        if (numbers.size() > layers) {
            return data_corrupt("{} has more entries than there are layers",
                                in.fields().path_of(name));
        }
    }
    return numbers;
}

Result<std::vector<bool>> read_sparse_layers(JsonConfig& in, uint32_t layers) {
    WEIR_TRY_ASSIGN(const auto step, in.size("decoder_sparse_step"));
    WEIR_TRY_ASSIGN(const auto dense, read_layer_numbers(in, "mlp_only_layers", layers));
    if (step == 0u) {
        return data_corrupt("{} is 0", in.fields().path_of("decoder_sparse_step"));
    }
    std::vector<bool> sparse(layers);
    for (uint32_t i = 0; i < layers; ++i) {
        sparse[i] = (i + 1) % step.value_or(1) == 0;
    }
    for (const uint32_t i : dense.value_or(std::vector<uint32_t>())) {
        sparse[i] = false;
    }
    return sparse;
}

}  // namespace weir::model
