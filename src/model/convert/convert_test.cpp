#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "json/write.h"
#include "model/convert/gguf_contents.h"
#include "model/convert/hf_contents.h"
#include "model/load.h"
#include "model/quantize_model.h"
#include "model/testing/gguf_writer.h"
#include "model/testing/kv_memory.h"
#include "model/testing/safetensors_writer.h"
#include "model/testing/temporary_folder.h"
#include "model/testing/tiny_mixture.h"
#include "model/testing/tiny_model.h"
#include "tensor/quantize.h"

namespace weir::model {
namespace {

using tensor::DType;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::TinyModel;

const std::vector<TokenId> kTokens = {5, 17, 61, 3, 3, 42, 0, 9};

// Of every position, with the cache in float32: by default that depends on the types in the file.
Result<std::vector<float>> logits_of(const ModelSource::Pointer& source) {
    kernels::ThreadPool pool(1);
    WEIR_TRY_ASSIGN(const auto model,
                    load_model(source, {.batch_tokens_max = 16, .kv_dtype = DType::F32},
                               {*kernels::available_kernels().front(), pool}));
    std::vector<float> out(kTokens.size() * model->info().vocabulary);
    const testing::KvMemory memory(model->state_spec(), kTokens.size());
    const SequenceSlice slice{kTokens, 0, memory.view(), LogitsWanted::All};
    WEIR_TRY(model->forward(std::span(&slice, 1), out));
    return out;
}

ByteSink into(std::vector<std::byte>& out) {
    return [&out](std::span<const std::byte> bytes) -> Result<void> {
        out.insert(out.end(), bytes.begin(), bytes.end());
        return {};
    };
}

void no_progress(uint64_t, uint64_t) {}

Result<std::vector<std::byte>> gguf_of(const ModelSource& source) {
    WEIR_TRY_ASSIGN(const GgufContents contents, contents_of(source));
    kernels::ThreadPool pool(1);
    std::vector<std::byte> out;
    WEIR_TRY(write_gguf(contents, pool, into(out), no_progress));
    return out;
}

Result<void> write_folder_of(const ModelSource& source, const TemporaryFolder& folder) {
    WEIR_TRY_ASSIGN(const FolderContents contents, folder_contents_of(source));
    kernels::ThreadPool pool(1);
    std::vector<std::byte> out;
    WEIR_TRY(write_safetensors(contents.tensors, pool, into(out), no_progress));
    folder.write("model.safetensors", out);
    folder.write("config.json", json::to_text(json::Value(contents.config)));
    return {};
}

// Folder to GGUF to folder, the logits of all three. False where GGUF cannot say the model.
bool goes_round(const TemporaryFolder& folder, const std::string& what) {
    const auto source = ModelSource::open(folder.path());
    EXPECT_TRUE(source) << what << ": " << source.error().message;
    const auto before = logits_of(*source);
    EXPECT_TRUE(before) << what << ": " << before.error().message;
    const auto gguf = gguf_of(**source);
    if (!gguf) {
        EXPECT_THAT(gguf.error().message, HasSubstr("GGUF cannot say the")) << what;
        return false;
    }
    const auto middle = ModelSource::from_bytes(*gguf);
    EXPECT_TRUE(middle) << what << ": " << middle.error().message;
    const auto between = logits_of(*middle);
    EXPECT_TRUE(between) << what << ": " << between.error().message;
    EXPECT_TRUE(between && *between == *before) << what << ": the GGUF file has other logits";
    const TemporaryFolder back;
    const auto written = write_folder_of(**middle, back);
    EXPECT_TRUE(written) << what << ": " << written.error().message;
    const auto after = logits_of(*ModelSource::open(back.path()));
    EXPECT_TRUE(after) << what << ": " << after.error().message;
    EXPECT_TRUE(after && *after == *before) << what << ": the folder made of it has other logits";
    return true;
}

TEST(Convert, ModelsComeBackWithTheSameLogitsToTheBit) {
    size_t said = 0;
    size_t all = 0;
    for (TinyModel model : testing::tiny_models()) {
        for (const DType dtype : {DType::F32, DType::BF16}) {
            const TemporaryFolder folder;
            model.dtype = dtype;
            testing::write_tiny_folder(model, folder.path(), 2);
            said += goes_round(folder, model.family) ? 1 : 0;
            ++all;
        }
    }
    // The others have windows, scales or caps that the format has no key for.
    EXPECT_GE(said * 3, all * 2) << said << " of " << all;
}

TEST(Convert, MixturesComeBackWithTheSameLogitsToTheBit) {
    for (const auto family : testing::kMixtureFamilies) {
        const TemporaryFolder folder;
        testing::write_mixture_folder(testing::TinyMixture(family).as_gguf_says(), folder.path());
        EXPECT_TRUE(goes_round(folder, testing::name(family)));
    }
}

TEST(Convert, AFileOfBlocksBecomesAFolderOfTheSameNumbers) {
    const TinyModel model = TinyModel::for_dtype(DType::Q4_K);
    const auto bytes = testing::tiny_gguf(model);
    const auto source = ModelSource::from_bytes(bytes);
    const TemporaryFolder folder;
    const auto written = write_folder_of(**source, folder);
    ASSERT_TRUE(written) << written.error().message;
    const auto back = ModelSource::open(folder.path());
    const SafetensorsFile& file = (*back)->folder()->shards().front();
    const GgufTensor* before = (*source)->gguf()->find_tensor("blk.1.ffn_down.weight");
    const SafetensorsTensor* after = file.find("model.layers.1.mlp.down_proj.weight");
    ASSERT_TRUE(before != nullptr && after != nullptr);
    EXPECT_EQ(after->dtype, "F32");
    std::vector<float> values(after->bytes.size() / sizeof(float));
    tensor::dequantize_row(DType::Q4_K, before->bytes.data(), values);
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(values)), after->bytes));
}

// What is quantized of a folder is what is quantized of the GGUF file of that folder.
TEST(Convert, QuantizingAFolderIsQuantizingItsGguf) {
    TinyModel model = TinyModel::for_dtype(DType::Q4_K);
    model.dtype = DType::BF16;
    const TemporaryFolder folder;
    testing::write_tiny_folder(model, folder.path());
    const auto source = ModelSource::open(folder.path());
    const auto gguf = gguf_of(**source);
    ASSERT_TRUE(gguf) << gguf.error().message;
    kernels::ThreadPool pool(1);
    std::vector<std::byte> direct;
    std::vector<std::byte> detour;
    ASSERT_TRUE(
        quantize_model(*contents_of(**source), FileType::Q4_K_M, pool, into(direct), no_progress));
    const auto middle = GgufFile::parse(*gguf);
    ASSERT_TRUE(
        quantize_model(*contents_of(*middle), FileType::Q4_K_M, pool, into(detour), no_progress));
    const auto a = GgufFile::parse(direct);
    const auto b = GgufFile::parse(detour);
    ASSERT_TRUE(a && b);
    ASSERT_EQ(a->tensors().size(), b->tensors().size());
    for (size_t i = 0; i < a->tensors().size(); ++i) {
        EXPECT_EQ(a->tensors()[i].name, b->tensors()[i].name);
        EXPECT_TRUE(std::ranges::equal(a->tensors()[i].bytes, b->tensors()[i].bytes))
            << a->tensors()[i].name;
    }
    EXPECT_EQ(a->find_tensor("blk.0.attn_q.weight")->type->dtype(), DType::Q4_K);
}

// MXFP4 stays MXFP4, in the rows that GGUF has.
TEST(Convert, BlocksOfMxfp4AreKept) {
    const testing::TinyMixture model =
        testing::TinyMixture(testing::MixtureFamily::GptOss).as_gguf_says();
    const TemporaryFolder folder;
    testing::write_mxfp4_folder(model, folder.path());
    const auto source = ModelSource::open(folder.path());
    const auto gguf = gguf_of(**source);
    ASSERT_TRUE(gguf) << gguf.error().message;
    const auto made = ModelSource::from_bytes(*gguf);
    const GgufTensor* gate = (*made)->gguf()->find_tensor("blk.0.ffn_gate_exps.weight");
    ASSERT_NE(gate, nullptr);
    EXPECT_EQ(gate->type->dtype(), DType::MXFP4);
    EXPECT_EQ(*logits_of(*made), *logits_of(*source));
}

// And comes back as the blocks and scales that it was, byte for byte.
TEST(Convert, BlocksOfMxfp4ComeBackAsTheyWere) {
    const testing::TinyMixture model =
        testing::TinyMixture(testing::MixtureFamily::GptOss).as_gguf_says();
    const TemporaryFolder folder;
    testing::write_mxfp4_folder(model, folder.path());
    const auto source = ModelSource::open(folder.path());
    const auto gguf = gguf_of(**source);
    ASSERT_TRUE(gguf) << gguf.error().message;
    const auto middle = ModelSource::from_bytes(*gguf);
    const TemporaryFolder back;
    const auto written = write_folder_of(**middle, back);
    ASSERT_TRUE(written) << written.error().message;
    const auto after = ModelSource::open(back.path());
    ASSERT_TRUE(after) << after.error().message;
    size_t blocks = 0;
    for (const SafetensorsFile& shard : (*source)->folder()->shards()) {
        for (const SafetensorsTensor& tensor : shard.tensors()) {
            if (tensor.dtype == "U8") {
                const auto* same = (*after)->folder()->shards().front().find(tensor.name);
                ASSERT_NE(same, nullptr) << tensor.name;
                EXPECT_EQ(same->dtype, "U8");
                EXPECT_EQ(same->shape, tensor.shape) << tensor.name;
                EXPECT_TRUE(std::ranges::equal(same->bytes, tensor.bytes)) << tensor.name;
                ++blocks;
            }
        }
    }
    EXPECT_EQ(blocks, model.layers * 4);
    EXPECT_EQ(*logits_of(*after), *logits_of(*source));
}

// A folder of a file, and a file of that folder: what was F32, F16 or BF16 is the same bytes.
TEST(Convert, AFileThatWasAFolderMeanwhileHasTheSameTensors) {
    std::vector<std::vector<std::byte>> files;
    for (TinyModel model : testing::tiny_models()) {
        const TemporaryFolder folder;
        testing::write_tiny_folder(model, folder.path());
        if (auto bytes = gguf_of(**ModelSource::open(folder.path()))) {
            files.push_back(*std::move(bytes));
        }
    }
    for (const auto family : testing::kMixtureFamilies) {
        const TemporaryFolder folder;
        testing::write_mixture_folder(testing::TinyMixture(family).as_gguf_says(), folder.path());
        auto bytes = gguf_of(**ModelSource::open(folder.path()));
        ASSERT_TRUE(bytes) << bytes.error().message;
        files.push_back(*std::move(bytes));
    }
    for (const auto& bytes : files) {
        const auto before = ModelSource::from_bytes(bytes);
        const TemporaryFolder folder;
        const auto written = write_folder_of(**before, folder);
        ASSERT_TRUE(written) << written.error().message;
        const auto again = gguf_of(**ModelSource::open(folder.path()));
        ASSERT_TRUE(again) << again.error().message;
        const auto file = GgufFile::parse(*again);
        ASSERT_TRUE(file);
        const auto& tensors = (*before)->gguf()->tensors();
        EXPECT_EQ(file->tensors().size(), tensors.size());
        for (const GgufTensor& tensor : tensors) {
            const GgufTensor* same = file->find_tensor(tensor.name);
            ASSERT_NE(same, nullptr) << tensor.name;
            EXPECT_TRUE(std::ranges::equal(same->bytes, tensor.bytes)) << tensor.name;
        }
    }
}

// GGUF has no key for Gemma's query_pre_attn_scalar: it is head_dim, and for the 27B (46 layers of
// Gemma 2) hidden / heads.
TEST(Convert, GemmasScalarIsSaidWhereItFollowsFromTheShape) {
    struct Case {
        uint32_t layers;
        std::string_view scalar;
        bool said;
    };
    for (const auto& [layers, scalar, said] :
         {Case{2, "24", true}, Case{2, "16", false}, Case{46, "16", true}, Case{46, "24", false}}) {
        const TemporaryFolder folder;
        const TinyModel model{
            .family = "gemma2", .layers = layers, .hidden = 64, .heads = 4, .head_dim = 24};
        testing::write_tiny_folder(model, folder.path());
        std::string config = testing::tiny_config_json(model);
        const std::string_view key = "\"query_pre_attn_scalar\": ";
        const size_t at = config.find(key);
        if (at == config.npos) {
            config.insert(config.rfind('}'), std::string(", ").append(key).append(scalar));
        } else {
            config.replace(at + key.size(), 2, scalar);
        }
        folder.write("config.json", config);
        const auto source = ModelSource::open(folder.path());
        const auto gguf = gguf_of(**source);
        ASSERT_EQ(gguf.has_value(), said) << layers << " " << scalar;
        if (!said) {
            EXPECT_THAT(gguf.error().message, HasSubstr("query_pre_attn_scalar"));
            continue;
        }
        const TemporaryFolder back;
        ASSERT_TRUE(write_folder_of(**ModelSource::from_bytes(*gguf), back));
        const auto made = ModelSource::open(back.path());
        EXPECT_EQ(json::to_text(*(*made)->folder()->config()->find("query_pre_attn_scalar")),
                  std::string(scalar) + ".0");
        EXPECT_EQ(*logits_of(*made), *logits_of(*source));
    }
}

TEST(Convert, WhatIsMissingOrContradictsIsNamedBeforeAnythingIsWritten) {
    const TemporaryFolder folder;
    testing::write_tiny_folder({}, folder.path());
    std::string config = testing::tiny_config_json({});
    const size_t at = config.find("88");
    ASSERT_NE(at, std::string::npos);
    config.replace(at, 2, "96");
    folder.write("config.json", config);
    const auto source = ModelSource::open(folder.path());
    EXPECT_THAT(contents_of(**source).error().message, HasSubstr("mlp."));
}

TEST(Convert, WindowsThatGgufHasNoKeyForAreRefusedByName) {
    const TemporaryFolder folder;
    TinyModel model{.family = "qwen2"};
    model.window = 8;  // on every second layer
    testing::write_tiny_folder(model, folder.path());
    const auto source = ModelSource::open(folder.path());
    EXPECT_THAT(contents_of(**source).error().message,
                HasSubstr("GGUF cannot say the windows of this qwen2 model: layer"));
}

TEST(Convert, DivisorsThatNoScalingMakesAreRefusedByName) {
    TinyModel model{.rope = testing::TinyRope::Llama3};
    auto bytes = testing::tiny_gguf(model);
    const auto file = GgufFile::parse(bytes);
    const GgufTensor* divisors = file->find_tensor("rope_freqs.weight");
    ASSERT_NE(divisors, nullptr);
    const auto place = divisors->bytes.data() - bytes.data();
    const float odd = 1.7f;
    std::memcpy(bytes.data() + place, &odd, sizeof(odd));
    const auto source = ModelSource::from_bytes(bytes);
    EXPECT_THAT(folder_contents_of(**source).error().message,
                HasSubstr("tensor rope_freqs.weight"));
}

}  // namespace
}  // namespace weir::model
