#include "model/encoder.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "kernels/row_ops.h"
#include "model/family.h"
#include "model/weights.h"

namespace weir::model {

namespace {

constexpr uint32_t kBlockTokens = 16;

// All layers keep the same, and use the same memory one after the other.
kernels::KvLayout layout_of(const TransformerConfig& config) {
    return {.dtype = tensor::DType::F32,
            .block_tokens = kBlockTokens,
            .kv_heads = config.kv_heads,
            .key_dim = config.head_dim,
            .value_dim = config.head_dim};
}

uint32_t tokens_max_of(const TransformerConfig& config) {
    return std::min(config.context_tokens, kEncoderTokensMax);
}

Result<TransformerConfig> encoder_config(const ModelSource& source) {
    WEIR_TRY_ASSIGN(TransformerConfig config, source.config());
    if (!config.family->encoder) {
        return unsupported("a {} model generates text; vectors are made by encoders",
                           config.architecture);
    }
    return config;
}

uint32_t blocks_for(uint32_t tokens) {
    return (tokens + kBlockTokens - 1) / kBlockTokens;
}

}  // namespace

Result<void> Encoder::check(const TensorIndex& index, const TransformerConfig& config) {
    WEIR_TRY(bind(index, config, Purpose::Bind));
    return {};
}

Result<Encoder::Weights> Encoder::bind(const TensorIndex& index, const TransformerConfig& config,
                                       Purpose purpose) {
    WeightBinder in(index, config, purpose);
    Weights out;
    WEIR_TRY_ASSIGN(out.words, in.matrix("token_embd.weight", config.vocabulary, config.hidden));
    const uint32_t before = config.padding ? *config.padding + 1 : 0;
    WEIR_TRY_ASSIGN(out.position, in.matrix("position_embd.weight", config.context_tokens + before,
                                            config.hidden));
    WEIR_TRY_ASSIGN(out.types, in.matrix("token_types.weight", config.token_types, config.hidden));
    WEIR_TRY_ASSIGN(out.norm, in.norm("token_embd_norm", config.hidden));
    for (uint32_t layer = 0; layer < config.layers; ++layer) {
        in.enter_layer(layer);
        WEIR_TRY_ASSIGN(Block block, bind_block(in, config, layer));
        out.blocks.push_back(std::move(block));
    }
    in.leave_layer();
    for (const std::string_view unused : config.family->unused) {
        in.ignore(unused);
    }
    WEIR_TRY(in.refuse_unbound());
    out.counts = in.counts();
    out.owned = in.take_owned();
    return out;
}

uint64_t Encoder::scratch_bytes(const TransformerConfig& config, const Weights& weights,
                                uint32_t tokens) {
    uint64_t largest = float_bytes(uint64_t{tokens} * config.hidden);  // while embedding
    for (const Block& block : weights.blocks) {
        largest = std::max(largest, model::scratch_bytes(block, tokens, config.hidden));
    }
    const uint64_t kv = ScratchArena::padded(layout_of(config).block_bytes()) * blocks_for(tokens);
    return float_bytes(uint64_t{tokens} * config.hidden) + kv + largest;
}

Encoder::Encoder(ModelSource::Pointer source, TransformerConfig config, Weights weights,
                 kernels::Compute compute)
    : source_(std::move(source)),
      config_(std::move(config)),
      weights_(std::move(weights)),
      compute_(compute),
      tokens_max_(tokens_max_of(config_)),
      arena_(scratch_bytes(config_, weights_, tokens_max_)),
      x_(arena_.take_floats(uint64_t{tokens_max_} * config_.hidden)),
      numbers_(tokens_max_),
      zeros_(tokens_max_),
      positions_(tokens_max_),
      groups_(1) {
    std::iota(numbers_.begin(), numbers_.end(), 0u);
    for (uint32_t i = 0; i < blocks_for(tokens_max_); ++i) {
        kv_blocks_.push_back(arena_.take(layout_of(config_).block_bytes()).data());
    }
    groups_[0].layout = layout_of(config_);
    groups_[0].sequences = {{kv_blocks_.data()}};
    groups_[0].queries.reserve(tokens_max_);
}

Result<EncoderPlan> Encoder::plan(const ModelSource& source) {
    WEIR_TRY_ASSIGN(const TransformerConfig config, encoder_config(source));
    WEIR_TRY_ASSIGN(const Weights weights, bind(source.tensors(config), config, Purpose::Count));
    const WeightCounts& counts = weights.counts;
    const uint32_t tokens = tokens_max_of(config);
    return EncoderPlan{.info = {.architecture = config.architecture,
                                .name = config.name,
                                .layers = config.layers,
                                .hidden = config.hidden,
                                .vocabulary = config.vocabulary,
                                .context_tokens = tokens,
                                .file_context_tokens = config.context_tokens,
                                .parameters = counts.parameters,
                                .weight_bytes = counts.mapped_bytes + counts.copied_bytes},
                       .weights_mapped_bytes = counts.mapped_bytes,
                       .weights_copied_bytes = counts.copied_bytes,
                       .scratch_bytes = scratch_bytes(config, weights, tokens)};
}

Result<std::unique_ptr<Encoder>> Encoder::load(ModelSource::Pointer source,
                                               kernels::Compute compute) {
    WEIR_TRY_ASSIGN(TransformerConfig config, encoder_config(*source));
    WEIR_TRY_ASSIGN(Weights weights, bind(source->tensors(config), config, Purpose::Bind));
    return std::unique_ptr<Encoder>(
        new Encoder(std::move(source), std::move(config), std::move(weights), compute));
}

void Encoder::embed(std::span<const TokenId> tokens) {
    const size_t count = tokens.size() * config_.hidden;
    const ScratchArena::Mark mark = arena_.mark();
    const std::span more = arena_.take_floats(count);
    kernels::lookup_rows(compute_, weights_.words, tokens, x_.data());
    uint32_t next = config_.padding ? *config_.padding + 1 : 0;
    for (size_t r = 0; r < tokens.size(); ++r) {
        positions_[r] = tokens[r] == config_.padding ? *config_.padding : next++;
    }
    for (const auto& [table, ids] :
         {std::pair{&weights_.types, &zeros_}, std::pair{&weights_.position, &positions_}}) {
        kernels::lookup_rows(compute_, *table, std::span(*ids).first(tokens.size()), more.data());
        kernels::add(compute_, x_.data(), more.data(), count, x_.data());
    }
    apply(compute_, weights_.norm, x_.data(), tokens.size(), config_.hidden, x_.data());
    arena_.rewind(mark);
}

void Encoder::run_blocks(std::span<const TokenId> tokens) {
    const auto length = static_cast<uint32_t>(tokens.size());
    groups_[0].queries.assign(length, {.sequence = 0, .key_begin = 0, .key_end = length});
    const SliceRows slice{.rows = length};
    const Pass pass{.compute = compute_,
                    .rows = length,
                    .tokens = tokens,
                    .sequence_of = std::span(zeros_).first(length),
                    .positions = std::span(numbers_).first(length),
                    .row_numbers = std::span(numbers_).first(length),
                    .slices = {&slice, 1},
                    .groups = groups_,
                    .ropes = {},
                    .layer_inputs = {},
                    .scratch = arena_};
    for (const Block& block : weights_.blocks) {
        run(block, pass, {}, x_.first(size_t{length} * config_.hidden));
    }
}

Result<void> Encoder::encode(std::span<const TokenId> tokens, Pooling pooling,
                             std::span<float> out) {
    if (tokens.empty() || tokens.size() > tokens_max_) {
        return invalid_argument("ids", "{} tokens; 1 to {} are allowed", tokens.size(),
                                tokens_max_);
    }
    if (*std::ranges::max_element(tokens) >= config_.vocabulary) {
        return invalid_argument("ids", "an id is not below the vocabulary's {}",
                                config_.vocabulary);
    }
    if (out.size() != config_.hidden) {
        return invalid_argument("out", "room for {} numbers of {}", out.size(), config_.hidden);
    }
    embed(tokens);
    run_blocks(tokens);
    std::ranges::copy(x_.first(out.size()), out.begin());
    if (pooling == Pooling::Mean) {
        for (size_t r = 1; r < tokens.size(); ++r) {
            kernels::add(compute_, out.data(), x_.data() + r * out.size(), out.size(), out.data());
        }
        kernels::scale(compute_, 1.0f / static_cast<float>(tokens.size()), out.size(), out.data());
    }
    return {};
}

void normalize(std::span<float> vector) {
    double squares = 0;
    for (const float value : vector) {
        squares += double{value} * double{value};
    }
    if (squares == 0) {
        return;
    }
    const double factor = 1 / std::sqrt(squares);
    for (float& value : vector) {
        value = static_cast<float>(double{value} * factor);
    }
}

}  // namespace weir::model
