#include "model/quantize_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "model/testing/gguf_writer.h"
#include "model/testing/tiny_model.h"
#include "tensor/matrix_view.h"
#include "tensor/quantize.h"

namespace weir::model {
namespace {

using tensor::DType;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<std::vector<std::byte>> quantized(std::span<const std::byte> in, FileType type,
                                         size_t threads = 1) {
    WEIR_TRY_ASSIGN(const GgufFile file, GgufFile::parse(in));
    kernels::ThreadPool pool(threads);
    std::vector<std::byte> out;
    const auto sink = [&](std::span<const std::byte> bytes) -> Result<void> {
        out.insert(out.end(), bytes.begin(), bytes.end());
        return {};
    };
    WEIR_TRY_ASSIGN(const GgufContents contents, contents_of(file));
    WEIR_TRY(quantize_model(contents, type, pool, sink, [](uint64_t, uint64_t) {}));
    return out;
}

// Wide enough for blocks of 256.
testing::TinyModel wide_model() {
    return testing::TinyModel::for_dtype(DType::Q4_K);
}

TEST(QuantizeModel, TheNewFileHoldsTheSameModelInFewerBytes) {
    testing::TinyModel model = wide_model();
    model.dtype = DType::F32;
    const auto in = testing::tiny_gguf(model);
    const auto old_file = GgufFile::parse(in);
    for (const FileType type : {FileType::Q8_0, FileType::Q4_0, FileType::Q4_K_M, FileType::Q6_K}) {
        const auto out = quantized(in, type);
        ASSERT_TRUE(out) << out.error().message;
        const auto file = GgufFile::parse(*out);
        ASSERT_TRUE(file) << file.error().message;
        ASSERT_EQ(file->tensors().size(), old_file->tensors().size());
        for (const GgufTensor& before : old_file->tensors()) {
            const GgufTensor* after = file->find_tensor(before.name);
            ASSERT_NE(after, nullptr) << before.name;
            EXPECT_EQ(after->ne, before.ne);
            const auto count = before.bytes.size() / sizeof(float);
            std::vector<float> values(count);
            tensor::dequantize_row(*after->type->dtype(), after->bytes.data(), values);
            const auto* old_values = reinterpret_cast<const float*>(before.bytes.data());
            float largest = 0;
            for (size_t i = 0; i < count; ++i) {
                largest = std::max(largest, std::fabs(old_values[i]));
            }
            for (size_t i = 0; i < count; ++i) {
                // One step of the coarsest type (Q4_0's, of sixteen over twice the extent).
                ASSERT_NEAR(values[i], old_values[i], largest / 7) << before.name << " " << i;
            }
        }
        for (const GgufEntry& entry : old_file->entries()) {
            const GgufEntry* kept = file->find(entry.key);
            ASSERT_NE(kept, nullptr) << entry.key;
            EXPECT_TRUE(std::ranges::equal(kept->payload, entry.payload)) << entry.key;
        }
        EXPECT_LT(out->size(), in.size() / 3);
    }
}

TEST(QuantizeModel, TheNumberOfThreadsChangesNoByte) {
    const auto in = testing::tiny_gguf(wide_model());
    EXPECT_EQ(*quantized(in, FileType::Q4_K_M, 1), *quantized(in, FileType::Q4_K_M, 3));
}

TEST(QuantizeModel, AFileThatIsThereAlreadyIsCopied) {
    testing::TinyModel model = testing::TinyModel::for_dtype(DType::Q8_0);
    const auto once = quantized(testing::tiny_gguf(model), FileType::Q8_0);
    EXPECT_EQ(*quantized(*once, FileType::Q8_0), *once);
}

TEST(QuantizeModel, NumbersThatAreNotFiniteAreRefusedByName) {
    testing::GgufWriter file;
    file.add_text("general.architecture", "llama");
    const std::vector<float> values(64, INFINITY);
    const std::vector<uint64_t> shape = {2, 32};
    file.add_tensor("blk.0.ffn_up.weight", shape, 0, std::as_bytes(std::span(values)));
    EXPECT_THAT(quantized(file.finish(), FileType::Q4_0).error().message,
                HasSubstr("tensor blk.0.ffn_up.weight"));
}

TEST(QuantizeModel, TypesThatCannotBeReadAreRefusedByName) {
    testing::GgufWriter file;
    const std::vector<uint64_t> shape = {1, 256};
    file.add_tensor("blk.0.ffn_up.weight", shape, 21, std::vector<std::byte>(110));  // IQ3_S
    EXPECT_THAT(quantized(file.finish(), FileType::Q8_0).error().message,
                HasSubstr("tensor blk.0.ffn_up.weight: type IQ3_S"));
}

// The types that llama.cpp gives a plain model of 32 layers at Q4_K_M.
TEST(MixedType, MediumSpendsMoreOnValuesDownProjectionsAndOutput) {
    const MixContext context{.layers = 32};
    const std::vector<uint64_t> shape = {512, 512};
    const auto type = [&](std::string_view name, uint32_t layer = 0) {
        return mixed_type(FileType::Q4_K_M, context,
                          {.name = name,
                           .shape = shape,
                           .dtype = DType::F32,
                           .value_layer = layer,
                           .value_layers = 32});
    };
    EXPECT_EQ(type("output.weight"), DType::Q6_K);
    EXPECT_EQ(type("token_embd.weight"), DType::Q4_K);
    EXPECT_EQ(type("blk.5.attn_q.weight", 5), DType::Q4_K);
    EXPECT_EQ(type("blk.3.attn_v.weight", 3), DType::Q6_K);  // the first eighth
    EXPECT_EQ(type("blk.4.attn_v.weight", 4), DType::Q4_K);
    EXPECT_EQ(type("blk.6.attn_v.weight", 6), DType::Q6_K);  // every third
    EXPECT_EQ(type("blk.28.ffn_down.weight"), DType::Q6_K);  // the last eighth
    EXPECT_EQ(type("blk.27.ffn_down.weight"), DType::Q6_K);
    EXPECT_EQ(type("blk.26.ffn_down.weight"), DType::Q4_K);
    EXPECT_EQ(type("blk.0.attn_qkv.weight", 0), DType::Q6_K);  // values are a part of it
    EXPECT_EQ(type("blk.4.attn_qkv.weight", 4), DType::Q4_K);
    EXPECT_EQ(type("blk.6.attn_kv_b.weight", 6), DType::Q6_K);
    EXPECT_EQ(type("blk.6.ffn_down_exps.weight"), DType::Q6_K);
    EXPECT_EQ(type("per_layer_model_proj.weight"), DType::F32);
    EXPECT_EQ(type("blk.0.attn_q_norm.weight"), DType::F32);
    EXPECT_EQ(type("blk.0.ffn_gate_inp.weight"), DType::F32);
    EXPECT_EQ(type("blk.0.attn_q.bias"), DType::F32);
}

TEST(MixedType, TiedEmbeddingsAreTheOutput) {
    const std::vector<uint64_t> shape = {512, 512};
    const MixTensor embedding{.name = "token_embd.weight", .shape = shape, .dtype = DType::F16};
    EXPECT_EQ(mixed_type(FileType::Q4_0, {.layers = 2, .has_output = false}, embedding),
              DType::Q6_K);
    EXPECT_EQ(mixed_type(FileType::Q4_0, {.layers = 2}, embedding), DType::Q4_0);
    EXPECT_EQ(mixed_type(FileType::Q8_0, {.layers = 2, .has_output = false}, embedding),
              DType::Q8_0);
}

TEST(MixedType, EightExpertsHaveExactKeysAndValues) {
    const std::vector<uint64_t> shape = {512, 512};
    const MixContext context{.layers = 32, .experts = 8};
    const auto type = [&](std::string_view name) {
        return mixed_type(FileType::Q4_K_M, context,
                          {.name = name, .shape = shape, .dtype = DType::F32, .value_layers = 32});
    };
    EXPECT_EQ(type("blk.9.attn_v.weight"), DType::Q8_0);
    EXPECT_EQ(type("blk.9.attn_k.weight"), DType::Q8_0);
    EXPECT_EQ(type("blk.9.attn_output.weight"), DType::Q5_K);
}

TEST(MixedType, RowsThatAreNoWholeBlocksGetATypeThatFits) {
    const auto type = [](FileType file, uint64_t columns) {
        const std::vector<uint64_t> shape = {8, columns};
        return mixed_type(file, {.layers = 1},
                          {.name = "blk.0.attn_q.weight", .shape = shape, .dtype = DType::F32});
    };
    EXPECT_EQ(type(FileType::Q4_K_M, 288), DType::Q5_0);
    EXPECT_EQ(type(FileType::Q6_K, 288), DType::Q8_0);
    EXPECT_EQ(type(FileType::Q4_0, 40), DType::F16);
}

TEST(OtherTypes, AreCountedByWhatTheyShouldBeAreAndHowWideTheyAre) {
    GgufContents contents{.layers = 1};
    const auto add = [&](std::string name, std::vector<uint64_t> shape) {
        contents.tensors.push_back(
            {.name = std::move(name), .shape = std::move(shape), .dtype = DType::F32});
    };
    add("output.weight", {8, 256});  // whole blocks
    add("blk.0.attn_q.weight", {8, 288});
    add("blk.0.attn_k.weight", {4, 288});
    add("blk.0.ffn_up.weight", {8, 288 + 32});
    add("blk.0.ffn_gate.weight", {8, 40});
    add("blk.0.attn_norm.weight", {288});  // stays whatever is asked
    EXPECT_THAT(other_types(contents, FileType::Q4_K_M),
                ElementsAre(OtherType{DType::Q4_K, DType::Q5_0, 288, 2, "blk.0.attn_q.weight"},
                            OtherType{DType::Q4_K, DType::Q5_0, 320, 1, "blk.0.ffn_up.weight"},
                            OtherType{DType::Q4_K, DType::F16, 40, 1, "blk.0.ffn_gate.weight"}));
    EXPECT_EQ(other_types(contents, FileType::Q8_0).size(), 1u);  // 40 is no multiple of 32
}

}  // namespace
}  // namespace weir::model
