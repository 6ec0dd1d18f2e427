#include "engine/testing/fake_model.h"

#include <cstring>

namespace weir::engine::testing {
namespace {

uint64_t mix(uint64_t a, uint64_t b) {  // splitmix64's finisher over a combination
    uint64_t x = a * 0x9E3779B97F4A7C15u ^ (b + 0x632BE59BD9B4E019u);
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

}  // namespace

FakeModel::FakeModel(const FakeModelOptions& options) : options_(options) {
    info_ = {.architecture = "fake",
             .name = "fake",
             .layers = 3,
             .hidden = 1,
             .vocabulary = options.vocabulary,
             .context_tokens = options.context_tokens};
    spec_ = {.kv_dtype = tensor::DType::F32,
             .block_tokens = options.block_tokens,
             .recurrent_bytes = options.recurrent ? sizeof(uint64_t) : 0};
    if (options.full_attention) {
        spec_.groups.push_back({.layers = {0}, .kv_heads = 1, .key_dim = 1, .value_dim = 1});
    }
    if (options.window_tokens) {
        spec_.groups.push_back({.layers = {1},
                                .kv_heads = 1,
                                .key_dim = 1,
                                .value_dim = 1,
                                .window_tokens = options.window_tokens});
    }
}

uint64_t FakeModel::compute_token(const model::SequenceSlice& slice, uint32_t index) const {
    const uint32_t position = slice.position + index;
    uint64_t value = mix(slice.tokens[index], position);
    for (size_t g = 0; g < spec_.groups.size(); ++g) {
        const auto& blocks = slice.state.blocks[g];
        const auto entry = [&](uint32_t at) {
            std::byte* const block = blocks[at / spec_.block_tokens];
            return block == nullptr ? nullptr
                                    : block + (at % spec_.block_tokens) * sizeof(uint64_t);
        };
        if (std::byte* const own = entry(position)) {
            std::memcpy(own, &value, sizeof(value));
        }
        const auto window = spec_.groups[g].window_tokens;
        const uint32_t begin = window && position + 1 > *window ? position + 1 - *window : 0;
        uint64_t seen = g;
        for (uint32_t at = begin; at <= position; ++at) {
            uint64_t one = 0xDEAD;  // a block that should be there and is not
            if (const std::byte* const where = entry(at)) {
                std::memcpy(&one, where, sizeof(one));
            }
            seen = mix(seen, one);
        }
        value = mix(value, seen);
    }
    if (slice.state.recurrent != nullptr) {
        uint64_t state = 0;
        std::memcpy(&state, slice.state.recurrent, sizeof(state));
        state = mix(state, value);
        std::memcpy(slice.state.recurrent, &state, sizeof(state));
        for (const kv::StateCopy& copy : slice.state.copies) {
            if (copy.position == position + 1) {
                std::memcpy(copy.to, &state, sizeof(state));
            }
        }
        value = mix(value, state);
    }
    return value;
}

Result<void> FakeModel::forward(std::span<const model::SequenceSlice> batch,
                                std::span<float> logits) {
    ++passes_;
    if (before_pass) {
        WEIR_TRY(before_pass(batch));
    }
    size_t row = 0;
    for (const model::SequenceSlice& slice : batch) {
        tokens_computed_ += slice.tokens.size();
        for (uint32_t i = 0; i < slice.tokens.size(); ++i) {
            const uint64_t value = compute_token(slice, i);
            const bool wanted =
                slice.logits == model::LogitsWanted::All ||
                (slice.logits == model::LogitsWanted::Last && i + 1 == slice.tokens.size());
            if (!wanted) {
                continue;
            }
            const auto out = logits.subspan(row * options_.vocabulary, options_.vocabulary);
            for (uint32_t id = 0; id < options_.vocabulary; ++id) {
                out[id] = static_cast<float>(mix(value, id) >> 40) * 0x1.0p-22f;  // [0, 4)
            }
            if (on_row) {
                on_row(slice, slice.position + i, out);
            }
            ++row;
        }
    }
    return {};
}

}  // namespace weir::engine::testing
