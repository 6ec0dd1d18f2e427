#include "model/packed_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <list>
#include <random>

#include "json/parse.h"
#include "tensor/float16.h"
#include "tensor/quantize.h"

namespace weir::model {
namespace {

using ::testing::HasSubstr;

constexpr size_t kRows = 16;
constexpr size_t kColumns = 256;
constexpr size_t kGroups = 2;

// A random matrix as both methods define it, w = scale * (q - zero), and its files.
class Sample {
  public:
    Sample() {
        std::mt19937 engine(5);
        for (size_t i = 0; i < kRows * kColumns; ++i) {
            q_.push_back(engine() % 16);
        }
        for (size_t i = 0; i < kRows * kGroups; ++i) {
            zeros_.push_back(static_cast<uint32_t>(1 + engine() % 15));
            scales_.push_back(tensor::f16_from_f32(static_cast<float>(engine() % 900) * 0.001f));
        }
    }

    float weight(size_t row, size_t column) const {
        const size_t g = row * kGroups + column / (kColumns / kGroups);
        return tensor::f32_from_f16(scales_[g]) *
               static_cast<float>(static_cast<int>(q_[row * kColumns + column]) -
                                  static_cast<int>(zeros_[g]));
    }

    // Eight inputs of one output a word.
    std::vector<StoredTensor> gptq(uint32_t zero_offset) {
        std::vector<uint32_t> words(kColumns / 8 * kRows);
        for (size_t c = 0; c < kColumns; ++c) {
            for (size_t r = 0; r < kRows; ++r) {
                words[c / 8 * kRows + r] |= q_[r * kColumns + c] << (4 * (c % 8));
            }
        }
        std::vector<uint32_t> zeros(kGroups * kRows / 8);
        for (size_t r = 0; r < kRows; ++r) {
            for (size_t g = 0; g < kGroups; ++g) {
                zeros[g * (kRows / 8) + r / 8] |= (zeros_[r * kGroups + g] - zero_offset)
                                                  << (4 * (r % 8));
            }
        }
        std::vector<uint32_t> groups;
        for (size_t c = 0; c < kColumns; ++c) {
            groups.push_back(static_cast<uint32_t>(c / (kColumns / kGroups)));
        }
        return {stored("x.g_idx", "I32", {kColumns}, groups),
                stored("x.qweight", "I32", {kColumns / 8, kRows}, words),
                stored("x.qzeros", "I32", {kGroups, kRows / 8}, zeros),
                stored("x.scales", "F16", {kGroups, kRows}, scales_by_group())};
    }

    // Eight outputs of one input a word; bits 4i … 4i + 3 are those of output kOrder[i].
    std::vector<StoredTensor> awq() {
        constexpr size_t kOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};
        std::vector<uint32_t> words(kColumns * kRows / 8);
        std::vector<uint32_t> zeros(kGroups * kRows / 8);
        for (size_t eight = 0; eight < kRows / 8; ++eight) {
            for (size_t i = 0; i < 8; ++i) {
                const size_t r = 8 * eight + kOrder[i];
                for (size_t c = 0; c < kColumns; ++c) {
                    words[c * (kRows / 8) + eight] |= q_[r * kColumns + c] << (4 * i);
                }
                for (size_t g = 0; g < kGroups; ++g) {
                    zeros[g * (kRows / 8) + eight] |= zeros_[r * kGroups + g] << (4 * i);
                }
            }
        }
        return {stored("x.qweight", "I32", {kColumns, kRows / 8}, words),
                stored("x.qzeros", "I32", {kGroups, kRows / 8}, zeros),
                stored("x.scales", "F16", {kGroups, kRows}, scales_by_group())};
    }

    template <typename T>
    StoredTensor stored(std::string_view name, std::string_view type, std::vector<uint64_t> shape,
                        const std::vector<T>& values) {
        std::vector<std::byte>& bytes = memory_.emplace_back(values.size() * sizeof(T));
        std::memcpy(bytes.data(), values.data(), bytes.size());
        return {.name = name, .type = type, .shape = std::move(shape), .bytes = bytes};
    }

  private:
    std::vector<uint16_t> scales_by_group() const {
        std::vector<uint16_t> out;
        for (size_t g = 0; g < kGroups; ++g) {
            for (size_t r = 0; r < kRows; ++r) {
                out.push_back(scales_[r * kGroups + g]);
            }
        }
        return out;
    }

    std::vector<uint32_t> q_;
    std::vector<uint32_t> zeros_;
    std::vector<uint16_t> scales_;
    std::list<std::vector<std::byte>> memory_;
};

StoredTensor* named(std::vector<StoredTensor>& tensors, std::string_view name) {
    const auto at = std::ranges::find(tensors, name, &StoredTensor::name);
    return at == tensors.end() ? nullptr : &*at;
}

void expect_weights(const Sample& sample, WeightPacking packing,
                    std::vector<StoredTensor> tensors) {
    join_parts(packing, tensors);
    ASSERT_EQ(tensors.size(), 1u);
    const StoredTensor& tensor = tensors.front();
    EXPECT_EQ(tensor.shape, (std::vector<uint64_t>{kRows, kColumns}));
    const auto checked = check_parts(tensor);
    ASSERT_TRUE(checked) << checked.error().message;
    std::vector<std::byte> rows(repacked_bytes(tensor).value());
    const auto done = repack(tensor, rows);
    ASSERT_TRUE(done) << done.error().message;
    const size_t stride = rows.size() / kRows;
    for (size_t r = 0; r < kRows; ++r) {
        std::vector<float> row(kColumns);
        tensor::dequantize_row(*tensor.dtype, rows.data() + r * stride, row);
        for (size_t c = 0; c < kColumns; ++c) {
            ASSERT_EQ(row[c], sample.weight(r, c)) << "row " << r << " column " << c;
        }
    }
}

TEST(PackedTensors, GptqOfBothFormatsIsReadExactly) {
    Sample sample;
    expect_weights(sample, WeightPacking::Gptq, sample.gptq(1));
    expect_weights(sample, WeightPacking::GptqV2, sample.gptq(0));
}

TEST(PackedTensors, AwqIsReadExactly) {
    Sample sample;
    expect_weights(sample, WeightPacking::Awq, sample.awq());
}

std::string refusal(WeightPacking packing, std::vector<StoredTensor> tensors) {
    join_parts(packing, tensors);
    const StoredTensor& tensor = tensors.front();
    if (const auto checked = check_parts(tensor); !checked) {
        return checked.error().message;
    }
    std::vector<std::byte> rows(repacked_bytes(tensor).value());
    const auto done = repack(tensor, rows);
    return done ? "accepted" : done.error().message;
}

TEST(PackedTensors, MF11_PartsThatDoNotFitAreRefusedByName) {
    Sample sample;
    const auto changed = [&](std::string_view name, auto change) {
        auto tensors = sample.gptq(1);
        change(*named(tensors, name));
        return refusal(WeightPacking::Gptq, tensors);
    };
    EXPECT_THAT(changed("x.qzeros", [](StoredTensor& t) { t.shape = {2, 1}; }),
                HasSubstr("tensor x.qzeros: shape [2, 1]"));
    EXPECT_THAT(changed("x.qzeros", [](StoredTensor& t) { t.type = "I64"; }),
                HasSubstr("tensor x.qzeros: type I64"));
    EXPECT_THAT(changed("x.scales", [](StoredTensor& t) { t.shape = {2, 24}; }),
                HasSubstr("tensor x.scales: shape [2, 24]"));
    EXPECT_THAT(changed("x.scales", [](StoredTensor& t) { t.shape = {4, 16}; }),
                HasSubstr("tensor x.scales: 4 groups of 256 inputs"));
    EXPECT_THAT(changed("x.g_idx", [](StoredTensor& t) { t.shape = {128}; }),
                HasSubstr("tensor x.g_idx: shape [128]"));
    EXPECT_THAT(changed("x.qzeros", [](StoredTensor& t) { t.name = "x.qz"; }),
                HasSubstr("tensor x.qweight: it has no zero points"));
}

TEST(PackedTensors, MF11_PartsOfNoShapeAreRefusedByName) {
    Sample sample;
    const auto changed = [&](std::string_view name, std::vector<uint64_t> shape) {
        auto tensors = sample.awq();
        named(tensors, name)->shape = std::move(shape);
        return refusal(WeightPacking::Awq, tensors);
    };
    EXPECT_THAT(changed("x.scales", {kRows}), HasSubstr("tensor x.qweight: it has no scales"));
    EXPECT_THAT(changed("x.scales", {0, kRows}), HasSubstr("tensor x.qweight: it has no scales"));
    EXPECT_THAT(changed("x.scales", {3, kRows}), HasSubstr("tensor x.scales: 3 groups"));
    EXPECT_THAT(changed("x.qzeros", {kGroups * kRows / 8}), HasSubstr("tensor x.qzeros: shape"));
}

TEST(PackedTensors, GroupsOutOfOrderAreRefusedByName) {
    Sample sample;
    auto tensors = sample.gptq(1);
    *named(tensors, "x.g_idx") =
        sample.stored("x.g_idx", "I32", {kColumns}, std::vector<uint32_t>(kColumns, 1));
    EXPECT_THAT(refusal(WeightPacking::Gptq, tensors), HasSubstr("tensor x.g_idx: groups"));
}

TEST(PackedTensors, AScaleThatNoHalfHoldsIsRefusedByName) {
    Sample sample;
    auto tensors = sample.awq();
    *named(tensors, "x.scales") = sample.stored("x.scales", "F32", {kGroups, kRows},
                                                std::vector<float>(kGroups * kRows, 0.1f));
    EXPECT_THAT(refusal(WeightPacking::Awq, tensors), HasSubstr("tensor x.scales: a scale"));
    *named(tensors, "x.scales") = sample.stored("x.scales", "BF16", {kGroups, kRows},
                                                std::vector<uint16_t>(kGroups * kRows, 0x3e80));
    EXPECT_EQ(refusal(WeightPacking::Awq, tensors), "accepted");
}

// Elements 2k and 2k + 1 are the low and the high half of byte k; 4-bit floats with 2^(e - 127).
TEST(PackedTensors, Mxfp4IsReadExactly) {
    constexpr float kValues[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    Sample sample;
    std::mt19937 engine(9);
    std::vector<uint8_t> blocks(2 * 3 * 2 * 16);
    std::vector<uint8_t> exponents(2 * 3 * 2);
    for (uint8_t& byte : blocks) {
        byte = static_cast<uint8_t>(engine());
    }
    for (uint8_t& exponent : exponents) {
        exponent = static_cast<uint8_t>(120 + engine() % 10);
    }
    std::vector<StoredTensor> tensors = {
        sample.stored("e.down_proj_blocks", "U8", {2, 3, 2, 16}, blocks),
        sample.stored("e.down_proj_scales", "U8", {2, 3, 2}, exponents)};
    join_parts(WeightPacking::Mxfp4, tensors);
    ASSERT_EQ(tensors.size(), 1u);
    EXPECT_EQ(tensors[0].name, packed_name("e.down_proj"));
    EXPECT_EQ(tensors[0].shape, (std::vector<uint64_t>{2, 3, 64}));
    ASSERT_TRUE(check_parts(tensors[0]));
    std::vector<std::byte> rows(repacked_bytes(tensors[0]).value());
    ASSERT_TRUE(repack(tensors[0], rows));
    std::vector<float> values(2 * 3 * 64);
    tensor::dequantize_row(tensor::DType::MXFP4, rows.data(), values);
    for (size_t e = 0; e < values.size(); ++e) {
        const int code = (blocks[e / 2] >> (e % 2 * 4)) & 15;
        const float sign = code < 8 ? 1.0f : -1.0f;
        const float scale = std::ldexp(1.0f, exponents[e / 32] - 127);
        ASSERT_EQ(values[e], sign * scale * kValues[code % 8]) << e;
    }
    tensors[0].parts[0].shape = {2, 3, 1};
    EXPECT_THAT(check_parts(tensors[0]).error().message, HasSubstr("tensor e.down_proj_scales"));
}

TEST(PackedTensors, MF11_TilesNeedAScaleForEach) {
    Sample sample;
    const auto tensors = [&](std::vector<uint64_t> of_scales) {
        StoredTensor weight =
            sample.stored("w.weight", "F8_E4M3", {130, 24}, std::vector<uint8_t>(130 * 24));
        weight.dtype = tensor::DType::F8_E4M3;
        return std::vector<StoredTensor>{
            weight, sample.stored("w.weight_scale_inv", "F32", std::move(of_scales),
                                  std::vector<float>(2, 1.0f))};
    };
    auto right = tensors({2, 1});
    join_parts(WeightPacking::F8Tiles, right);
    ASSERT_EQ(right.size(), 1u);
    EXPECT_TRUE(check_parts(right[0]));
    EXPECT_FALSE(is_repacked(right[0]));
    auto wrong = tensors({1, 2});
    join_parts(WeightPacking::F8Tiles, wrong);
    EXPECT_THAT(check_parts(wrong[0]).error().message, HasSubstr("tensor w.weight_scale_inv"));
    auto unsaid = tensors({2, 1});
    EXPECT_THAT(check_parts(unsaid[0]).error().message, HasSubstr("tensor w.weight: F8_E4M3"));
}

Result<WeightPacking> read(const std::string& quantization) {
    const auto config = json::parse(R"({"quantization_config": )" + quantization + "}");
    return read_weight_packing(*config->if_object());
}

TEST(PackedTensors, WhatTheConfigSaysIsReadOrRefusedByName) {
    EXPECT_EQ(read("null"), WeightPacking::None);
    EXPECT_EQ(read(R"({"quant_method": "gptq", "bits": 4, "group_size": 128})"),
              WeightPacking::Gptq);
    EXPECT_EQ(read(R"({"quant_method": "gptq", "bits": 4, "checkpoint_format": "gptq_v2"})"),
              WeightPacking::GptqV2);
    EXPECT_EQ(read(R"({"quant_method": "awq", "bits": 4, "version": "gemm"})"), WeightPacking::Awq);
    EXPECT_EQ(read(R"({"quant_method": "fp8", "weight_block_size": [128, 128]})"),
              WeightPacking::F8Tiles);
    EXPECT_EQ(read(R"({"quant_method": "mxfp4"})"), WeightPacking::Mxfp4);
    const auto refusal = [](const std::string& text) {
        return read(text).error().message;
    };
    EXPECT_THAT(refusal(R"({"quant_method": "gptq", "bits": 8})"),
                HasSubstr("quantization_config.bits: 8"));
    EXPECT_THAT(refusal(R"({"quant_method": "awq", "bits": 4, "group_size": 64})"),
                HasSubstr("quantization_config.group_size: 64"));
    EXPECT_THAT(refusal(R"({"quant_method": "awq", "bits": 4, "version": "gemv"})"),
                HasSubstr("quantization_config.version: gemv"));
    EXPECT_THAT(refusal(R"({"quant_method": "fp8"})"),
                HasSubstr("quantization_config.weight_block_size"));
    EXPECT_THAT(refusal(R"({"quant_method": "bitsandbytes"})"), HasSubstr("\"bitsandbytes\""));
}

}  // namespace
}  // namespace weir::model
