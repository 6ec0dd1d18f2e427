#pragma once

// Attention whose values are the first part of the keys (latent attention), over sixteen lanes.
// Included after attention.inc.h; the order of sums is the same.
//
// Such a cache has one head for all query heads, and its rows lie across: component d of all the
// block's tokens, then component d + 1. Scores want it so. For outputs the lanes go over the query
// vectors instead of over the components: for each component, acc = fma(p[j], key[d][j], acc) for
// j in order, with one key element for all the vectors. So nothing is transposed but the outputs,
// once, at the end; and there are enough vectors, since all heads share the keys.
namespace weir::kernels {

namespace {

struct LatentState {
    alignas(64) float out[kLatentValuesMax][kVectorsMax];     // component by component
    alignas(64) float weights[kAttentionChunk][kVectorsMax];  // p, key by key
    alignas(64) float shrink[kVectorsMax];
    alignas(64) float begin[kVectorsMax];  // visible keys, counted from the chunk's start
    alignas(64) float end[kVectorsMax];
    bool shrinks;
};

// The keys of a chunk: [begin, end) are seen by some vector, [all_begin, all_end) by every one.
struct ChunkKeys {
    size_t begin, end, all_begin, all_end;
};

// Weights of the chunk that begins at `chunk`, and which of its keys are seen.
ChunkKeys weigh_latent(const AttentionPart& part, AttentionState& state, LatentState& latent,
                       size_t chunk) {
    ChunkKeys keys{kAttentionChunk, 0, 0, kAttentionChunk};
    latent.shrinks = false;
    for (size_t v = 0; v < state.vectors; ++v) {
        const size_t from = higher(chunk, state.begin[v]);
        const size_t to = higher(from, lower(chunk + kAttentionChunk, state.end[v]));
        latent.shrink[v] = from < to ? weigh_chunk(part, state, v, chunk, from, to) : 1.0f;
        latent.shrinks = latent.shrinks || latent.shrink[v] != 1.0f;
        latent.begin[v] =
            static_cast<float>(static_cast<int>(lower(from - chunk, kAttentionChunk)));
        latent.end[v] = static_cast<float>(static_cast<int>(lower(to - chunk, kAttentionChunk)));
        if (from < to) {
            keys.begin = lower(keys.begin, from - chunk);
            keys.end = higher(keys.end, to - chunk);
        }
        keys.all_begin = higher(keys.all_begin, from - chunk);
        keys.all_end = lower(keys.all_end, to - chunk);
        for (size_t j = from - chunk; j < to - chunk; ++j) {
            latent.weights[j][v] = state.scores[v][j];
        }
    }
    return keys;
}

// out[d] for kTile components from `d` on and the vectors of one set of lanes, over the keys
// [begin, end). With kMasked a vector keeps its sum at a key that it does not see.
template <size_t kTile, bool kMasked>
inline void add_keys(const LatentState& latent, size_t lane, size_t begin, size_t end,
                     const float (&values)[kTile][kAttentionChunk], Lanes (&sums)[kTile]) {
    const Lanes from = load(latent.begin + lane);
    const Lanes to = load(latent.end + lane);
    for (size_t j = begin; j < end; ++j) {
        const Lanes p = load(latent.weights[j] + lane);
        const Lanes index = set1(static_cast<float>(static_cast<int>(j)));
#pragma GCC unroll 8
        for (size_t i = 0; i < kTile; ++i) {
            const Lanes sum = fma(p, set1(values[i][j]), sums[i]);
            sums[i] = kMasked
                          ? where_less(index, from, sums[i], where_less(index, to, sum, sums[i]))
                          : sum;
        }
    }
}

template <typename Elements, size_t kTile>
inline void add_components(const AttentionPart& part, LatentState& latent, size_t vectors,
                           size_t chunk, const ChunkKeys& keys, size_t d) {
    alignas(64) float values[kTile][kAttentionChunk];
    for (size_t j = keys.begin / 16 * 16; j < keys.end; j += 16) {
        const size_t token = chunk + j;
        const auto* head =
            reinterpret_cast<const uint8_t*>(part.blocks[token / part.block_tokens]) +
            part.head_offset + token % part.block_tokens * Elements::kBytes;
        for (size_t i = 0; i < kTile; ++i) {
            store(values[i] + j,
                  Elements::get(head + (d + i) * part.block_tokens * Elements::kBytes));
        }
    }
    const bool shared = keys.all_begin < keys.all_end;
    const size_t first = shared ? keys.all_begin : keys.end;
    const size_t last = shared ? keys.all_end : keys.end;
    for (size_t lane = 0; lane < vectors; lane += 16) {
        Lanes sums[kTile];
#pragma GCC unroll 8
        for (size_t i = 0; i < kTile; ++i) {
            sums[i] = load(latent.out[d + i] + lane);
            if (latent.shrinks) {
                sums[i] = mul(sums[i], load(latent.shrink + lane));
            }
        }
        add_keys<kTile, true>(latent, lane, keys.begin, first, values, sums);
        add_keys<kTile, false>(latent, lane, first, last, values, sums);
        add_keys<kTile, true>(latent, lane, last, keys.end, values, sums);
#pragma GCC unroll 8
        for (size_t i = 0; i < kTile; ++i) {
            store(latent.out[d + i] + lane, sums[i]);
        }
    }
}

// The sums divided, component by component into each vector's row.
void finish_latent(const AttentionPart& part, const AttentionState& state,
                   const LatentState& latent) {
    alignas(64) float shrink[kVectorsMax] = {};
    alignas(64) float divisor[kVectorsMax] = {};
    for (size_t v = 0; v < state.vectors; ++v) {
        const LastFactors last = last_factors(part, state, v);
        shrink[v] = last.shrink;
        divisor[v] = last.divisor;
    }
    for (size_t d = 0; d < part.value_dim; ++d) {
        for (size_t lane = 0; lane < state.vectors; lane += 16) {
            alignas(64) float row[16];
            store(row,
                  div(mul(load(latent.out[d] + lane), load(shrink + lane)), load(divisor + lane)));
            const size_t count = lower(16, state.vectors - lane);
            for (size_t i = 0; i < count; ++i) {
                state.out[lane + i][d] = row[i];
            }
        }
    }
}

template <typename Elements>
void attend_latent(const AttentionPart& part) {
    AttentionState state;
    LatentState latent;
    begin_vectors(part, state);
    const size_t lanes = (state.vectors + 15) / 16 * 16;
    for (size_t d = 0; d < part.value_dim; ++d) {
        for (size_t lane = 0; lane < lanes; lane += 16) {
            store(latent.out[d] + lane, zero());
        }
    }
    for (size_t j = 0; j < kAttentionChunk; ++j) {  // lanes that no vector has, and unseen keys
        for (size_t lane = 0; lane < lanes; lane += 16) {
            store(latent.weights[j] + lane, zero());
        }
    }
    for (size_t lane = 0; lane < lanes; lane += 16) {
        store(latent.shrink + lane, set1(1.0f));
        store(latent.begin + lane, zero());
        store(latent.end + lane, zero());
    }
    constexpr size_t kTile = Lanes::kRegisters >= 32 ? 8 : 4;
    const size_t begin = part.key_begins[0];
    const size_t end = part.key_ends[part.tokens - 1];
    for (size_t chunk = begin / kAttentionChunk * kAttentionChunk; chunk < end;
         chunk += kAttentionChunk) {
        score_chunk<Elements>(part, state, chunk, begin, end);
        const ChunkKeys keys = weigh_latent(part, state, latent, chunk);
        size_t d = 0;
        for (; d + kTile <= part.value_dim; d += kTile) {
            add_components<Elements, kTile>(part, latent, state.vectors, chunk, keys, d);
        }
        for (; d < part.value_dim; ++d) {
            add_components<Elements, 1>(part, latent, state.vectors, chunk, keys, d);
        }
    }
    finish_latent(part, state, latent);
}

template <typename Elements>
void attend_any(const AttentionPart& part) {
    part.values_in_keys ? attend_latent<Elements>(part) : attend<Elements>(part);
}

}  // namespace

}  // namespace weir::kernels
