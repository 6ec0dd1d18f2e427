#pragma once

#include <cstddef>
#include <cstdint>

// What a variant of the kernels provides. Plain pointers and sizes only: the files that implement
// a variant are compiled for a CPU that the machine may not have, so they must not instantiate
// inline functions of the standard library, which the linker could choose for everybody.
namespace weir::kernels {

// Activations in blocks of 32: a = values * scale.
struct Q8Rows {
    int8_t* values;   // [rows, columns], within ±127
    float* scales;    // [rows, columns / 32]
    int32_t* biases;  // [rows, columns / 32], -128 * (sum of the block's values)
};

// Activations in blocks of 256.
struct Q8KRows {
    int8_t* values;   // [rows, columns], within ±127
    float* scales;    // [rows, columns / 256]
    int16_t* sums16;  // [rows, columns / 16], sums of 16 values
    int16_t* sums32;  // [rows, columns / 32], sums of 32 values
};

struct ActivationForms {
    const float* values;  // [rows, columns]
    Q8Rows q8;            // if prepared for a type with blocks of 32
    Q8KRows q8k;          // if prepared for one with blocks of 256
    size_t rows;
    size_t columns;

    // Rows [first, first + count).
    ActivationForms slice(size_t first, size_t count) const {
        const size_t blocks = columns / 32;
        const size_t super_blocks = columns / 256;
        return {
            values + first * columns,
            {q8.values + first * columns, q8.scales + first * blocks, q8.biases + first * blocks},
            {q8k.values + first * columns, q8k.scales + first * super_blocks,
             q8k.sums16 + first * (columns / 16), q8k.sums32 + first * blocks},
            count,
            columns};
    }
};

// Rows [begin, end) of a weight matrix times all rows of the activations:
// out[r * out_stride + o] for o in [begin, end).
struct MatmulPart {
    const uint8_t* weight;
    size_t weight_stride;  // bytes
    size_t begin;
    size_t end;
    const ActivationForms* x;
    float* out;
    size_t out_stride;
    // Of F8_E4M3 (tensor::TileScales); null: 1.
    const float* scales;
    size_t scales_stride;
    size_t scales_first_row;
};
using MatmulFunction = void (*)(const MatmulPart&);

// How keys and values are stored; attention.h has the layouts.
enum class KvStorage : uint8_t { F32, F16, Int8 };

// The queries of one KV head for tokens that stand together in one sequence.
struct AttentionPart {
    const std::byte* const* blocks;
    size_t head_offset;  // of this layer's and KV head's keys, in a block
    size_t block_tokens;
    size_t key_dim;
    size_t value_dim;
    bool values_in_keys;  // a value is the first part of its key
    KvStorage storage;
    size_t tokens;
    const uint32_t* key_begins;  // [tokens], ascending
    const uint32_t* key_ends;    // [tokens], ascending
    size_t group;                // query heads of this KV head
    float scale;
    float soft_cap;      // 0: none
    const float* sinks;  // [group] or null
    const float* q;      // token t, head g: q + t * q_stride + g * key_dim
    size_t q_stride;
    float* out;  // token t, head g: out + t * out_stride + g * value_dim
    size_t out_stride;
};

// Some columns of one value head's state through the tokens of one slice; recurrent.h has the rule.
struct DeltaPart {
    size_t tokens;
    size_t key_dim;
    size_t columns;
    const float* q;  // [tokens, key_dim], `stride` floats from token to token
    const float* k;  // likewise
    const float* v;  // [tokens, columns], likewise
    size_t stride;
    const float* decay;  // one number a token, `gate_stride` floats apart
    const float* beta;   // likewise
    size_t gate_stride;
    float* state;  // [key_dim, columns], `state_stride` floats from row to row
    size_t state_stride;
    float* out;  // [tokens, columns]
    size_t out_stride;
};

// The longest key and value that 8-bit storage has.
inline constexpr size_t kInt8HeadDimMax = 512;

// Attention takes keys in chunks that begin at multiples of this; attention.h has the order of
// sums. Another number gives other bits.
inline constexpr size_t kAttentionChunk = 64;  // tokens

struct KernelSet {
    const char* name;

    void (*quantize_q8)(const float* x, size_t columns, int8_t* values, float* scales,
                        int32_t* biases);
    void (*quantize_q8k)(const float* x, size_t columns, int8_t* values, float* scales,
                         int16_t* sums16, int16_t* sums32);

    MatmulFunction matmul_f32;
    MatmulFunction matmul_f16;
    MatmulFunction matmul_bf16;
    MatmulFunction matmul_q8_0;
    MatmulFunction matmul_q4_0;
    MatmulFunction matmul_q4_k;
    MatmulFunction matmul_q6_k;
    MatmulFunction matmul_q4_1;
    MatmulFunction matmul_q5_0;
    MatmulFunction matmul_q5_1;
    MatmulFunction matmul_q2_k;
    MatmulFunction matmul_q3_k;
    MatmulFunction matmul_q5_k;
    MatmulFunction matmul_iq4_nl;
    MatmulFunction matmul_iq4_xs;
    MatmulFunction matmul_mxfp4;
    MatmulFunction matmul_q4_g128;
    MatmulFunction matmul_f8_e4m3;

    // At most kAttentionVectors queries (tokens * group) in one call.
    void (*attention)(const AttentionPart&);

    void (*rms_norm)(const float* x, const float* weight, size_t count, float epsilon, float* out);
    void (*layer_norm)(const float* x, const float* weight, size_t count, float epsilon,
                       float* out);
    void (*add)(const float* a, const float* b, size_t count, float* out);
    void (*scale)(float factor, size_t count, float* x);
    void (*add_scaled)(float factor, const float* x, size_t count, float* out);
    void (*silu_mul)(const float* gate, const float* up, size_t count, float* out);
    void (*swiglu_clamped)(const float* gate, const float* up, size_t count, float limit,
                           float alpha, float* out);
    void (*gelu_tanh_mul)(const float* gate, const float* up, size_t count, float* out);
    void (*gelu_tanh)(const float* x, size_t count, float* out);
    void (*gelu)(const float* x, size_t count, float* out);
    void (*soft_cap)(float cap, size_t count, float* x);
    void (*rope_adjacent)(const float* cosines, const float* sines, size_t half, float* x);
    void (*rope_halves)(const float* cosines, const float* sines, size_t half, float* x);
    float (*largest)(const float* x, size_t count);  // NaN if one is NaN
    float (*exp_sum)(const float* x, size_t count, float factor, float largest);
    void (*exp_scaled)(const float* x, size_t count, float factor, float largest, float divisor,
                       float* out);
    void (*f16_from_f32)(const float* x, size_t count, uint16_t* out);

    // out[c] = silu(sum over i of inputs[i][c] * weight[i * weight_stride + c])
    void (*convolution_silu)(const float* const* inputs, const float* weight, size_t weight_stride,
                             size_t taps, size_t count, float* out);
    void (*delta_rule)(const DeltaPart&);
    void (*sigmoid_mul)(const float* gate, const float* x, size_t count, float* out);
};

// The longest value that may be part of a key.
inline constexpr size_t kLatentValuesMax = 1024;

// The query vectors that one call of KernelSet::attention can hold.
inline constexpr size_t kAttentionVectors = 32;

const KernelSet& reference_kernels();
const KernelSet& avx2_kernels();    // AVX2, FMA, F16C
const KernelSet& avx512_kernels();  // AVX-512 F, BW, DQ, VL, VNNI

}  // namespace weir::kernels
