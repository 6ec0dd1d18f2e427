#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/attention.h"
#include "kernels/kernel_table.h"
#include "kernels/reference/exp.h"
#include "kernels/reference/rows.h"
#include "tensor/float16.h"

namespace weir::kernels::reference {

namespace {

float float_at(const std::byte* head, size_t index) {
    float value = 0;
    std::memcpy(&value, head + 4 * index, 4);
    return value;
}

float element(const AttentionPart& part, const std::byte* head, size_t index) {
    if (part.storage == KvStorage::F16) {
        uint16_t bits = 0;
        std::memcpy(&bits, head + 2 * index, 2);
        return tensor::f32_from_f16(bits);
    }
    return float_at(head, index);
}

// Whole number `index` after `head`, times its scale; the scales follow `count` whole numbers.
float int8_element(const std::byte* head, size_t count, size_t index, size_t scale) {
    return static_cast<float>(static_cast<int8_t>(head[index])) * float_at(head + count, scale);
}

float key(const AttentionPart& part, size_t token, size_t d) {
    const std::byte* head = part.blocks[token / part.block_tokens] + part.head_offset;
    const size_t slot = token % part.block_tokens;
    const size_t at = d * part.block_tokens + slot;
    return part.storage == KvStorage::Int8 ? int8_element(head, part.key_dim * part.block_tokens,
                                                          at, d / 32 * part.block_tokens + slot)
                                           : element(part, head, at);
}

float value(const AttentionPart& part, size_t token, size_t d) {
    if (part.values_in_keys) {
        return key(part, token, d);
    }
    const std::byte* head = part.blocks[token / part.block_tokens] + part.head_offset;
    const size_t slot = token % part.block_tokens;
    const size_t keys = part.key_dim * part.block_tokens;
    if (part.storage == KvStorage::Int8) {
        const size_t scales = (part.key_dim + 31) / 32 * part.block_tokens;
        return int8_element(head + keys + 4 * scales, part.value_dim * part.block_tokens,
                            slot * part.value_dim + d,
                            slot * ((part.value_dim + 31) / 32) + d / 32);
    }
    return element(part, head, keys + slot * part.value_dim + d);
}

void attend(const AttentionPart& part, size_t t, size_t g) {
    const float* q = part.q + t * part.q_stride + g * part.key_dim;
    float* out = part.out + t * part.out_stride + g * part.value_dim;
    std::fill_n(out, part.value_dim, 0.0f);
    float largest = -std::numeric_limits<float>::infinity();
    float lanes[16] = {};
    const size_t key_end = part.key_ends[t];
    for (size_t begin = part.key_begins[t]; begin < key_end;) {
        const size_t end = std::min(key_end, (begin / kAttentionChunk + 1) * kAttentionChunk);
        float scores[kAttentionChunk];
        float new_largest = largest;
        for (size_t j = begin; j < end; ++j) {
            float sum = 0.0f;
            for (size_t d = 0; d < part.key_dim; ++d) {
                sum = std::fma(q[d], key(part, j, d), sum);
            }
            sum *= part.scale;
            scores[j - begin] = part.soft_cap == 0.0f
                                    ? sum
                                    : soft_capped(sum, part.soft_cap, -2.0f / part.soft_cap);
            new_largest = scores[j - begin] > new_largest ? scores[j - begin] : new_largest;
        }
        const float shrink = exp(largest - new_largest);
        for (float& lane : lanes) {
            lane *= shrink;
        }
        for (size_t d = 0; d < part.value_dim; ++d) {
            out[d] *= shrink;
        }
        for (size_t j = begin; j < end; ++j) {
            const float p = exp(scores[j - begin] - new_largest);
            lanes[j % 16] += p;
            for (size_t d = 0; d < part.value_dim; ++d) {
                out[d] = std::fma(p, value(part, j, d), out[d]);
            }
        }
        largest = new_largest;
        begin = end;
    }
    float sum = fold(lanes);
    if (part.sinks != nullptr) {
        const float new_largest = part.sinks[g] > largest ? part.sinks[g] : largest;
        const float shrink = exp(largest - new_largest);
        sum = sum * shrink + exp(part.sinks[g] - new_largest);
        for (size_t d = 0; d < part.value_dim; ++d) {
            out[d] *= shrink;
        }
    }
    for (size_t d = 0; d < part.value_dim; ++d) {
        out[d] /= sum;
    }
}

}  // namespace

void attention(const AttentionPart& part) {
    for (size_t t = 0; t < part.tokens; ++t) {
        for (size_t g = 0; g < part.group; ++g) {
            attend(part, t, g);
        }
    }
}

}  // namespace weir::kernels::reference
