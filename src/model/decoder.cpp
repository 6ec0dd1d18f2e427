#include "model/decoder.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/check.h"
#include "kernels/activations.h"
#include "kernels/row_ops.h"
#include "kernels/thread_pool.h"
#include "tensor/float16.h"

namespace weir::model {

namespace {

// The rows that logits are wanted of, normed and ready for the output matrix.
uint64_t output_bytes(const TransformerConfig& config, uint32_t rows) {
    return float_bytes(rows, config.hidden) + quantized_bytes(rows, config.hidden);
}

// Gemma rounds its root to the type that it computes in first.
float rounded(double factor, tensor::DType dtype) {
    const auto value = static_cast<float>(factor);
    switch (dtype) {
        case tensor::DType::BF16:
            return tensor::f32_from_bf16(tensor::bf16_from_f32(value));
        case tensor::DType::F16:
            return tensor::f32_from_f16(tensor::f16_from_f32(value));
        default:
            return value;
    }
}

}  // namespace

uint64_t decoder_scratch_bytes(const TransformerConfig& config, const DecoderWeights& weights,
                               uint32_t batch_tokens_max) {
    const uint64_t rows = batch_tokens_max;
    uint64_t kept = float_bytes(rows * config.hidden);
    for (const RopeConfig& rope : config.ropes) {
        kept += 2 * float_bytes(rows * (rope.rotary_dim / 2));
    }
    uint64_t largest = output_bytes(config, batch_tokens_max);
    if (weights.layer_inputs) {
        kept += float_bytes(rows * weights.layer_inputs->row());
        largest = std::max(largest,
                           scratch_bytes(*weights.layer_inputs, batch_tokens_max, config.hidden));
    }
    for (const Block& block : weights.blocks) {
        largest = std::max(largest, scratch_bytes(block, batch_tokens_max, config.hidden));
    }
    return kept + largest;
}

StatePlan decoder_state(std::span<const Block> blocks, tensor::DType kv_dtype,
                        uint32_t block_tokens) {
    std::vector<StateNeed> needs;
    needs.reserve(blocks.size());
    for (const Block& block : blocks) {
        needs.push_back(block.mixer->state());
    }
    return plan_state(needs, kv_dtype, block_tokens);
}

Decoder::Decoder(DecoderParts parts, kernels::Compute compute)
    : parts_(std::move(parts)),
      compute_(compute),
      embedding_scale_(parts_.config.rounds_embedding_scale
                           ? rounded(parts_.config.embedding_scale, parts_.weights.embedding.dtype)
                           : static_cast<float>(parts_.config.embedding_scale)),
      arena_(decoder_scratch_bytes(parts_.config, parts_.weights, parts_.batch_tokens_max)) {
    const uint32_t rows = parts_.batch_tokens_max;
    x_ = arena_.take_floats(uint64_t{rows} * parts_.config.hidden);
    if (parts_.weights.layer_inputs) {
        layer_inputs_ = arena_.take_floats(rows * parts_.weights.layer_inputs->row());
    }
    for (size_t i = 0; i < parts_.config.ropes.size(); ++i) {
        const RopeConfig& config = parts_.config.ropes[i];
        const RopeTensors tensors = i == 0 ? parts_.weights.rope : RopeTensors{};
        const uint64_t pairs = config.rotary_dim / 2;
        const Rope& rope = ropes_.emplace_back(
            Rope{.short_frequencies = RopeFrequencies::make(config, tensors, RopeVariant::Short),
                 .long_frequencies = RopeFrequencies::make(config, tensors, RopeVariant::Long),
                 .cosines = arena_.take_floats(rows * pairs),
                 .sines = arena_.take_floats(rows * pairs)});
        rope_tables_.push_back({.cosines = rope.cosines.data(),
                                .sines = rope.sines.data(),
                                .rotary_dim = config.rotary_dim,
                                .pairs = config.pairs});
    }
    tokens_.reserve(rows);
    sequence_of_.reserve(rows);
    positions_.reserve(rows);
    slices_.reserve(rows);
    states_.reserve(rows);
    copies_.reserve(rows);  // each is after another row
    row_numbers_.resize(rows);
    std::iota(row_numbers_.begin(), row_numbers_.end(), 0u);
    for (size_t g = 0; g < parts_.state.spec.groups.size(); ++g) {
        const kv::AttentionGroup& group = parts_.state.spec.groups[g];
        GroupRows& out = groups_.emplace_back();
        out.layout = {.dtype = parts_.state.spec.kv_dtype,
                      .block_tokens = parts_.state.spec.block_tokens,
                      .kv_heads = group.kv_heads,
                      .key_dim = group.key_dim,
                      .value_dim = group.value_dim};
        out.visible = parts_.state.visible[g];
        out.sequences.reserve(rows);
        out.queries.reserve(rows);
    }
}

Result<void> Decoder::check_slice(const SequenceSlice& slice) const {
    if (slice.tokens.empty()) {
        return fail(ErrorCode::InvalidArgument, "a slice of a batch has no tokens");
    }
    const uint64_t end = uint64_t{slice.position} + slice.tokens.size();
    if (end > parts_.info.context_tokens) {
        return fail(ErrorCode::InvalidArgument, "position {} is past the context of {} tokens",
                    end - 1, parts_.info.context_tokens);
    }
    for (const TokenId token : slice.tokens) {
        if (token >= parts_.config.vocabulary) {
            return fail(ErrorCode::InvalidArgument, "token {} is not in the vocabulary of {}",
                        token, parts_.config.vocabulary);
        }
    }
    if (slice.state.blocks.size() != groups_.size()) {
        return fail(ErrorCode::Internal, "{} block tables for {} groups", slice.state.blocks.size(),
                    groups_.size());
    }
    if (parts_.state.spec.recurrent_bytes > 0 && slice.state.recurrent == nullptr) {
        return fail(ErrorCode::Internal, "the recurrent state is missing");
    }
    uint64_t after = slice.position;
    for (const kv::StateCopy& copy : slice.state.copies) {
        if (copy.position <= after || copy.position > end || copy.to == nullptr) {
            return fail(ErrorCode::Internal,
                        "a copy of the state at {}, where {} to {} are computed", copy.position,
                        slice.position, end);
        }
        after = copy.position;
    }
    for (size_t g = 0; g < groups_.size(); ++g) {
        const uint32_t block_tokens = parts_.state.spec.block_tokens;
        const uint32_t first_seen = groups_[g].visible.first_key(slice.position);
        const auto blocks = slice.state.blocks[g];
        const uint64_t needed = (end + block_tokens - 1) / block_tokens;
        const bool there =
            blocks.size() >= needed &&
            std::ranges::all_of(
                blocks.subspan(first_seen / block_tokens, needed - first_seen / block_tokens),
                [](const std::byte* block) { return block != nullptr; });
        if (!there) {
            return fail(ErrorCode::Internal, "a block of group {} is missing", g);
        }
    }
    return {};
}

Result<void> Decoder::check(std::span<const SequenceSlice> batch, std::span<float> logits) const {
    uint64_t rows = 0;
    for (const SequenceSlice& slice : batch) {
        WEIR_TRY(check_slice(slice));
        rows += slice.tokens.size();
    }
    if (rows > parts_.batch_tokens_max) {
        return fail(ErrorCode::InvalidArgument, "{} tokens in a batch; {} are reserved for", rows,
                    parts_.batch_tokens_max);
    }
    if (logits.size() != logit_rows(batch) * parts_.config.vocabulary) {
        return fail(ErrorCode::InvalidArgument, "room for {} logits, {} rows of {} are wanted",
                    logits.size(), logit_rows(batch), parts_.config.vocabulary);
    }
    return {};
}

void Decoder::lay_out(std::span<const SequenceSlice> batch) {
    tokens_.clear();
    sequence_of_.clear();
    positions_.clear();
    slices_.clear();
    for (size_t s = 0; s < batch.size(); ++s) {
        slices_.push_back({.first_row = tokens_.size(),
                           .rows = batch[s].tokens.size(),
                           .position = batch[s].position});
        for (size_t t = 0; t < batch[s].tokens.size(); ++t) {
            tokens_.push_back(batch[s].tokens[t]);
            sequence_of_.push_back(static_cast<uint32_t>(s));
            positions_.push_back(batch[s].position + static_cast<uint32_t>(t));
        }
    }
    rows_ = tokens_.size();
    lay_out_states(batch);
    for (size_t g = 0; g < groups_.size(); ++g) {
        lay_out_group(g, batch);
    }
    fill_ropes(batch);
}

void Decoder::lay_out_states(std::span<const SequenceSlice> batch) {
    states_.clear();
    copies_.clear();
    if (parts_.state.spec.recurrent_bytes == 0) {
        return;
    }
    for (size_t s = 0; s < batch.size(); ++s) {
        const size_t first = copies_.size();
        for (const kv::StateCopy& copy : batch[s].state.copies) {
            copies_.push_back({copy.position - batch[s].position, copy.to});
        }
        states_.push_back({.first_row = slices_[s].first_row,
                           .rows = slices_[s].rows,
                           .memory = batch[s].state.recurrent,
                           .copies = std::span(copies_).subspan(first)});
    }
}

void Decoder::lay_out_group(size_t group, std::span<const SequenceSlice> batch) {
    GroupRows& out = groups_[group];
    out.sequences.clear();
    out.queries.clear();
    for (const SequenceSlice& slice : batch) {
        out.sequences.push_back({slice.state.blocks[group].data()});
    }
    for (size_t r = 0; r < rows_; ++r) {
        out.queries.push_back(
            {sequence_of_[r], out.visible.first_key(positions_[r]), positions_[r] + 1});
    }
}

void Decoder::fill_ropes(std::span<const SequenceSlice> batch) {
    for (const Rope& rope : ropes_) {
        const size_t pairs = rope.short_frequencies.pairs();
        compute_.pool.parallel_for(rows_, 16, [&](size_t begin, size_t end) {
            for (size_t r = begin; r < end; ++r) {
                const bool is_long = batch[sequence_of_[r]].rope == RopeVariant::Long;
                const auto& frequencies = is_long ? rope.long_frequencies : rope.short_frequencies;
                frequencies.fill(positions_[r], rope.cosines.subspan(r * pairs, pairs),
                                 rope.sines.subspan(r * pairs, pairs));
            }
        });
    }
}

void Decoder::embed() {
    kernels::lookup_rows(compute_, parts_.weights.embedding, tokens_, x_.data());
    if (embedding_scale_ != 1) {
        kernels::scale(compute_, embedding_scale_, rows_ * parts_.config.hidden, x_.data());
    }
    if (const auto& inputs = parts_.weights.layer_inputs) {
        make_layer_inputs(*inputs, compute_, tokens_, x_.first(rows_ * parts_.config.hidden),
                          arena_, layer_inputs_.first(rows_ * inputs->row()));
    }
}

Result<void> Decoder::forward(std::span<const SequenceSlice> batch, std::span<float> logits) {
    WEIR_TRY(check(batch, logits));
    if (batch.empty()) {
        return {};
    }
    lay_out(batch);
    embed();
    const Pass pass{
        .compute = compute_,
        .rows = rows_,
        .tokens = tokens_,
        .sequence_of = sequence_of_,
        .positions = positions_,
        .row_numbers = std::span(row_numbers_).first(rows_),
        .slices = slices_,
        .states = states_,
        .groups = groups_,
        .ropes = rope_tables_,
        .layer_inputs = layer_inputs_.first(layer_inputs_.size() / parts_.batch_tokens_max * rows_),
        .scratch = arena_};
    for (size_t i = 0; i < parts_.weights.blocks.size(); ++i) {
        run(parts_.weights.blocks[i], pass, parts_.state.layers[i],
            x_.first(rows_ * parts_.config.hidden));
    }
    write_logits(batch, logits);
    return {};
}

void Decoder::write_logits(std::span<const SequenceSlice> batch, std::span<float> logits) {
    const TransformerConfig& config = parts_.config;
    const size_t hidden = config.hidden;
    const size_t wanted = logit_rows(batch);
    if (wanted == 0) {
        return;
    }
    const ScratchArena::Mark mark = arena_.mark();
    const std::span normed = arena_.take_floats(wanted * hidden);
    const std::span quantized = arena_.take(kernels::Activations::scratch_bytes(wanted, hidden));
    size_t filled = 0;
    for (size_t s = 0; s < batch.size(); ++s) {
        const size_t count = logit_rows(batch.subspan(s, 1));
        const size_t from = slices_[s].first_row + slices_[s].rows - count;
        std::memcpy(normed.data() + filled * hidden, x_.data() + from * hidden,
                    count * hidden * sizeof(float));
        filled += count;
    }
    apply(compute_, parts_.weights.output_norm, normed.data(), wanted, hidden, normed.data());
    kernels::Activations activations(normed.data(), wanted, hidden, quantized);
    multiply(compute_, parts_.weights.output, activations, logits);
    if (config.logit_scale != 1) {
        kernels::scale(compute_, config.logit_scale, logits.size(), logits.data());
    }
    if (config.logit_soft_cap != 0) {
        kernels::soft_cap(compute_, config.logit_soft_cap, logits.size(), logits.data());
    }
    arena_.rewind(mark);
}

}  // namespace weir::model
