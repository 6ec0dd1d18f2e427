#pragma once

// Attention of one KV head for a few query vectors over sixteen lanes; see attention.h for the
// order of sums. Included once by each variant's file, after its Lanes and lanes.inc.h.
//
// Both products are the same small matrix product: for each query vector and each strip of sixteen
// lanes, acc = fma(a[i], b[i], acc) for i in order. For scores the strips are sixteen keys, i runs
// over the head dimension and a is q; for outputs the strips are sixteen components of the value,
// i runs over keys and a is p. So one tile function serves both, and a row alone does the same
// operations in the same order as a row among others.
namespace weir::kernels {

namespace {

constexpr size_t kStrips = kAttentionChunk / 16;

struct F32Elements {
    static constexpr size_t kBytes = 4;
    static Lanes get(const uint8_t* p) { return load(reinterpret_cast<const float*>(p)); }
    static Lanes get_part(const uint8_t* p, size_t count) {
        return load_part(reinterpret_cast<const float*>(p), count);
    }
};
struct F16Elements {
    static constexpr size_t kBytes = 2;
    static Lanes get(const uint8_t* p) { return load_f16(p); }
    static Lanes get_part(const uint8_t* p, size_t count) { return load_f16_part(p, count); }
};

// acc[v][s] += sum over i < count of a[v][i] * (strip s of b, row i), in order of i. A strip's rows
// are `stride` bytes apart; `acc` rows are in memory before and after.
template <typename Elements, size_t kVectors, size_t kWidth>
inline void multiply_tile(const float* const* a, size_t count, const uint8_t* const* b,
                          size_t stride, float* const* acc) {
    Lanes sums[kVectors][kWidth];
#pragma GCC unroll 8
    for (size_t v = 0; v < kVectors; ++v) {
#pragma GCC unroll 4
        for (size_t s = 0; s < kWidth; ++s) {
            sums[v][s] = load(acc[v] + 16 * s);
        }
    }
    for (size_t i = 0; i < count; ++i) {
        Lanes rows[kWidth];
#pragma GCC unroll 4
        for (size_t s = 0; s < kWidth; ++s) {
            rows[s] = Elements::get(b[s] + i * stride);
        }
#pragma GCC unroll 8
        for (size_t v = 0; v < kVectors; ++v) {
            const Lanes factor = set1(a[v][i]);
#pragma GCC unroll 4
            for (size_t s = 0; s < kWidth; ++s) {
                sums[v][s] = fma(factor, rows[s], sums[v][s]);
            }
        }
    }
#pragma GCC unroll 8
    for (size_t v = 0; v < kVectors; ++v) {
#pragma GCC unroll 4
        for (size_t s = 0; s < kWidth; ++s) {
            store(acc[v] + 16 * s, sums[v][s]);
        }
    }
}

// The same for one vector and a strip of fewer than sixteen lanes.
template <typename Elements>
inline void multiply_part(const float* a, size_t count, const uint8_t* b, size_t stride, float* acc,
                          size_t lanes) {
    Lanes sum = load_part(acc, lanes);
    for (size_t i = 0; i < count; ++i) {
        sum = fma(set1(a[i]), Elements::get_part(b + i * stride, lanes), sum);
    }
    store_part(acc, lanes, sum);
}

// Any number of vectors and whole strips.
template <typename Elements>
void multiply(const float* const* a, size_t vectors, size_t count, const uint8_t* const* b,
              size_t strips, size_t stride, float* const* acc) {
    constexpr size_t kMany = Lanes::kRegisters >= 32 ? 8 : 2;
    constexpr size_t kWide = Lanes::kRegisters >= 32 ? 4 : 2;
    float* at[kMany];
    for (size_t v = 0; v < vectors;) {
        const size_t left = vectors - v;
        size_t taken = left >= kMany ? kMany : left >= 4 && kMany > 4 ? 4 : 1;
        for (size_t s = 0; s < strips;) {
            for (size_t i = 0; i < taken; ++i) {
                at[i] = acc[v + i] + 16 * s;
            }
            const bool wide = strips - s >= kWide;
            const bool pair = strips - s >= 2;
            if (taken == kMany) {
                pair ? multiply_tile<Elements, kMany, 2>(a + v, count, b + s, stride, at)
                     : multiply_tile<Elements, kMany, 1>(a + v, count, b + s, stride, at);
                s += pair ? 2 : 1;
            } else if (kMany > 4 && taken == 4) {
                wide ? multiply_tile<Elements, 4, kWide>(a + v, count, b + s, stride, at)
                     : multiply_tile<Elements, 4, 1>(a + v, count, b + s, stride, at);
                s += wide ? kWide : 1;
            } else {
                wide ? multiply_tile<Elements, 1, kWide>(a + v, count, b + s, stride, at)
                     : multiply_tile<Elements, 1, 1>(a + v, count, b + s, stride, at);
                s += wide ? kWide : 1;
            }
        }
        v += taken;
    }
}

constexpr size_t kVectorsMax = kAttentionVectors;
constexpr size_t kValueStripsMax = 64;  // value dimensions beyond 1024 go strip by strip

// What is known of each query vector while the chunks go by.
struct AttentionState {
    alignas(64) float scores[kVectorsMax][kAttentionChunk];
    alignas(64) float sums[kVectorsMax][16];
    float largest[kVectorsMax];
    const float* q[kVectorsMax];
    float* out[kVectorsMax];
    size_t begin[kVectorsMax];  // visible keys
    size_t end[kVectorsMax];
    size_t vectors;
    // The chunk's keys and values as floats, laid out as one block of kAttentionChunk tokens, where
    // they are not read as they are stored.
    const uint8_t* widened = nullptr;
};

const uint8_t* head_of(const AttentionPart& part, const AttentionState& state, size_t token) {
    return state.widened != nullptr
               ? state.widened
               : reinterpret_cast<const uint8_t*>(part.blocks[token / part.block_tokens]) +
                     part.head_offset;
}

// Scores of the keys [chunk, chunk + 64) that lie in [begin, end), for all vectors.
template <typename Elements>
void score_chunk(const AttentionPart& part, AttentionState& state, size_t chunk, size_t begin,
                 size_t end) {
    const uint8_t* strips[kStrips];
    const size_t first = (higher(begin, chunk) - chunk) / 16;
    const size_t last = (lower(end, chunk + kAttentionChunk) - chunk + 15) / 16;
    for (size_t s = first; s < last; ++s) {
        const size_t token = chunk + 16 * s;
        strips[s] = head_of(part, state, token) + token % part.block_tokens * Elements::kBytes;
    }
    float* rows[kVectorsMax];
    for (size_t v = 0; v < state.vectors; ++v) {
        rows[v] = state.scores[v] + 16 * first;
        for (size_t s = first; s < last; ++s) {
            store(state.scores[v] + 16 * s, zero());
        }
    }
    multiply<Elements>(state.q, state.vectors, part.key_dim, strips + first, last - first,
                       part.block_tokens * Elements::kBytes, rows);
}

// Turns the scores that vector v sees in the chunk into weights p, in place. Returns what the sums
// so far shrink by.
float weigh_chunk(const AttentionPart& part, AttentionState& state, size_t v, size_t chunk,
                  size_t begin, size_t end) {
    alignas(64) static constexpr float kIndex[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                     8, 9, 10, 11, 12, 13, 14, 15};
    const Lanes index = load(kIndex);
    float* scores = state.scores[v];
    const size_t first = (begin - chunk) / 16;
    const size_t last = (end - chunk + 15) / 16;
    const Lanes scale_lanes = set1(part.scale);
    const Lanes cap = set1(part.soft_cap);
    const Lanes cap_factor = set1(part.soft_cap != 0.0f ? -2.0f / part.soft_cap : 0.0f);
    // A lane outside [begin, end) takes `other`.
    const auto visible = [&](size_t s, Lanes x, Lanes other) {
        const auto from =
            static_cast<float>(static_cast<int>(begin - chunk) - static_cast<int>(16 * s));
        const auto to =
            static_cast<float>(static_cast<int>(end - chunk) - static_cast<int>(16 * s));
        return where_less(index, set1(from), other, where_less(index, set1(to), x, other));
    };
    Lanes top = set1(-kInfinity);
    for (size_t s = first; s < last; ++s) {
        Lanes scaled = mul(load(scores + 16 * s), scale_lanes);
        if (part.soft_cap != 0.0f) {
            scaled = soft_capped(scaled, cap, cap_factor);
        }
        const Lanes score = visible(s, scaled, set1(-kInfinity));
        store(scores + 16 * s, score);
        top = max(score, top);
    }
    const float before = state.largest[v];
    const float chunk_top = largest_lane(top);
    const float after = chunk_top > before ? chunk_top : before;
    Lanes sum = load(state.sums[v]);
    float factor = 1.0f;
    if (after != before) {  // else the factor is exp(0) = 1
        const Lanes shrink = exp(set1(before - after));
        sum = mul(sum, shrink);
        state.largest[v] = after;
        factor = first_lane(shrink);
    }
    for (size_t s = first; s < last; ++s) {
        const Lanes p = visible(s, exp(sub(load(scores + 16 * s), set1(after))), zero());
        store(scores + 16 * s, p);
        sum = add(sum, p);
    }
    store(state.sums[v], sum);
    return factor;
}

void shrink_values(float* out, size_t value_dim, float factor) {
    const Lanes shrink = set1(factor);
    for_lanes(
        value_dim, [&](size_t d) { store(out + d, mul(load(out + d), shrink)); },
        [&](size_t d, size_t n) { store_part(out + d, n, mul(load_part(out + d, n), shrink)); });
}

// out[v] += p * values for the keys [begin, end) of the chunk and the vectors [first, first + n).
template <typename Elements>
void add_values(const AttentionPart& part, AttentionState& state, size_t chunk, size_t begin,
                size_t end, size_t first, size_t n) {
    const size_t stride = part.value_dim * Elements::kBytes;
    const size_t strips = part.value_dim / 16;
    const float* weights[kVectorsMax];
    float* rows[kVectorsMax];
    for (size_t token = begin; token < end;) {
        const size_t slot = token % part.block_tokens;
        const size_t count = lower(end - token, part.block_tokens - slot);
        const uint8_t* values = head_of(part, state, token) +
                                part.key_dim * part.block_tokens * Elements::kBytes + slot * stride;
        for (size_t v = 0; v < n; ++v) {
            weights[v] = state.scores[first + v] + (token - chunk);
        }
        for (size_t s = 0; s < strips; s += kValueStripsMax) {
            const size_t width = lower(kValueStripsMax, strips - s);
            const uint8_t* columns[kValueStripsMax];
            for (size_t i = 0; i < width; ++i) {
                columns[i] = values + 16 * (s + i) * Elements::kBytes;
            }
            for (size_t v = 0; v < n; ++v) {
                rows[v] = state.out[first + v] + 16 * s;
            }
            multiply<Elements>(weights, n, count, columns, width, stride, rows);
        }
        if (const size_t rest = part.value_dim % 16; rest != 0) {
            for (size_t v = 0; v < n; ++v) {
                multiply_part<Elements>(weights[v], count, values + 16 * strips * Elements::kBytes,
                                        stride, state.out[first + v] + 16 * strips, rest);
            }
        }
        token += count;
    }
}

// Adds the chunk's values to all vectors: keys that all of a few neighbours see together, and the
// ragged ends (the diagonal, the edge of the window) vector by vector, each in order.
template <typename Elements>
void add_chunk(const AttentionPart& part, AttentionState& state, size_t chunk) {
    constexpr size_t kTogether = 8;
    for (size_t first = 0; first < state.vectors; first += kTogether) {
        const size_t n = lower(kTogether, state.vectors - first);
        size_t from = chunk;
        size_t to = chunk + kAttentionChunk;
        for (size_t v = first; v < first + n; ++v) {
            from = higher(from, state.begin[v]);
            to = lower(to, state.end[v]);
        }
        const bool shared = from < to;
        for (size_t v = first; v < first + n; ++v) {
            const size_t begin = higher(chunk, state.begin[v]);
            const size_t end = lower(chunk + kAttentionChunk, state.end[v]);
            add_values<Elements>(part, state, chunk, begin, shared ? from : end, v, 1);
        }
        if (shared) {
            add_values<Elements>(part, state, chunk, from, to, first, n);
            for (size_t v = first; v < first + n; ++v) {
                const size_t end = lower(chunk + kAttentionChunk, state.end[v]);
                add_values<Elements>(part, state, chunk, to, end, v, 1);
            }
        }
    }
}

// What vector v's values are multiplied with, and then divided by, at the end.
struct LastFactors {
    float shrink = 1.0f;
    float divisor;
};

LastFactors last_factors(const AttentionPart& part, const AttentionState& state, size_t v) {
    const float sum = fold(load(state.sums[v]));
    if (part.sinks == nullptr) {
        return {1.0f, sum};
    }
    const float sink = part.sinks[v % part.group];
    const float before = state.largest[v];
    const float after = sink > before ? sink : before;
    const float shrink = first_lane(exp(set1(before - after)));
    return {shrink, sum * shrink + first_lane(exp(set1(sink - after)))};
}

void divide_by_sum(const AttentionPart& part, AttentionState& state, size_t v) {
    float* out = state.out[v];
    const LastFactors last = last_factors(part, state, v);
    const Lanes shrink = set1(last.shrink);
    const Lanes divisor = set1(last.divisor);
    for_lanes(
        part.value_dim, [&](size_t d) { store(out + d, div(mul(load(out + d), shrink), divisor)); },
        [&](size_t d, size_t n) {
            store_part(out + d, n, div(mul(load_part(out + d, n), shrink), divisor));
        });
}

// No chunk has been seen.
void begin_vectors(const AttentionPart& part, AttentionState& state) {
    state.vectors = part.tokens * part.group;
    for (size_t v = 0; v < state.vectors; ++v) {
        const size_t t = v / part.group;
        const size_t g = v % part.group;
        store(state.sums[v], zero());
        state.largest[v] = -kInfinity;
        state.q[v] = part.q + t * part.q_stride + g * part.key_dim;
        state.out[v] = part.out + t * part.out_stride + g * part.value_dim;
        state.begin[v] = part.key_begins[t];
        state.end[v] = part.key_ends[t];
    }
}

template <typename Elements>
void attend_chunk(const AttentionPart& part, AttentionState& state, size_t chunk, size_t begin,
                  size_t end) {
    score_chunk<Elements>(part, state, chunk, begin, end);
    for (size_t v = 0; v < state.vectors; ++v) {
        const size_t from = higher(chunk, state.begin[v]);
        const size_t to = lower(chunk + kAttentionChunk, state.end[v]);
        const float shrink = from < to ? weigh_chunk(part, state, v, chunk, from, to) : 1.0f;
        if (shrink != 1.0f) {
            shrink_values(state.out[v], part.value_dim, shrink);
        }
    }
    add_chunk<Elements>(part, state, chunk);
}

void clear_outputs(const AttentionPart& part, AttentionState& state) {
    for (size_t v = 0; v < state.vectors; ++v) {
        for (size_t d = 0; d < part.value_dim; ++d) {
            state.out[v][d] = 0.0f;
        }
    }
}

template <typename Elements>
void attend(const AttentionPart& part) {
    AttentionState state;
    begin_vectors(part, state);
    clear_outputs(part, state);
    const size_t begin = part.key_begins[0];
    const size_t end = part.key_ends[part.tokens - 1];
    for (size_t chunk = begin / kAttentionChunk * kAttentionChunk; chunk < end;
         chunk += kAttentionChunk) {
        attend_chunk<Elements>(part, state, chunk, begin, end);
    }
    for (size_t v = 0; v < state.vectors; ++v) {
        divide_by_sum(part, state, v);
    }
}

// One token's whole numbers times their scales.
void widen_value(const int8_t* values, const float* scales, size_t count, float* out) {
    size_t d = 0;
    for (; d + 16 <= count; d += 16) {
        store(out + d, mul(load_i8(values + d), set1(scales[d / 32])));
    }
    for (; d < count; ++d) {
        out[d] = static_cast<float>(values[d]) * scales[d / 32];
    }
}

// The tokens [from, to) of the chunk, all in one block, sixteen at a time; those around them that
// were never written are widened too, and nobody sees them.
void widen_tokens(const AttentionPart& part, size_t chunk, size_t from, size_t to, float* out) {
    const size_t tokens = part.block_tokens;
    const auto* keys =
        reinterpret_cast<const int8_t*>(part.blocks[from / tokens]) + part.head_offset;
    const auto* key_scales = reinterpret_cast<const float*>(keys + part.key_dim * tokens);
    const auto* values =
        reinterpret_cast<const int8_t*>(key_scales + (part.key_dim + 31) / 32 * tokens);
    const auto* value_scales = reinterpret_cast<const float*>(values + part.value_dim * tokens);
    for (size_t token = from / 16 * 16; token < to; token += 16) {
        const size_t slot = token % tokens;
        for (size_t d = 0; d < part.key_dim; ++d) {
            const Lanes scale = load(key_scales + d / 32 * tokens + slot);
            store(out + d * kAttentionChunk + (token - chunk),
                  mul(load_i8(keys + d * tokens + slot), scale));
        }
    }
    float* const out_values = out + part.key_dim * kAttentionChunk;
    for (size_t token = from; token < to; ++token) {
        const size_t slot = token % tokens;
        widen_value(values + slot * part.value_dim,
                    value_scales + slot * ((part.value_dim + 31) / 32), part.value_dim,
                    out_values + (token - chunk) * part.value_dim);
    }
}

// 8-bit storage: each chunk is widened once for all the vectors, then taken as float32 is.
void attend_int8(const AttentionPart& part) {
    alignas(64) float widened[2 * kInt8HeadDimMax * kAttentionChunk];
    AttentionState state;
    begin_vectors(part, state);
    clear_outputs(part, state);
    state.widened = reinterpret_cast<const uint8_t*>(widened);
    AttentionPart wide = part;
    wide.block_tokens = kAttentionChunk;
    const size_t begin = part.key_begins[0];
    const size_t end = part.key_ends[part.tokens - 1];
    for (size_t chunk = begin / kAttentionChunk * kAttentionChunk; chunk < end;
         chunk += kAttentionChunk) {
        const size_t last = lower(end, chunk + kAttentionChunk);
        for (size_t from = higher(begin, chunk); from < last;) {
            const size_t to = lower(last, (from / part.block_tokens + 1) * part.block_tokens);
            widen_tokens(part, chunk, from, to, widened);
            from = to;
        }
        attend_chunk<F32Elements>(wide, state, chunk, begin, end);
    }
    for (size_t v = 0; v < state.vectors; ++v) {
        divide_by_sum(part, state, v);
    }
}

}  // namespace

}  // namespace weir::kernels
