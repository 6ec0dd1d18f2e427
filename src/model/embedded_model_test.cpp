// The embedded model (docs/embedded-model.md) is the one real file with trained weights that every
// build has: here it is written out as the Hugging Face folder that it would be, and loaded again.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/thread_pool.h"
#include "model/families/families.h"
#include "model/load.h"
#include "model/perplexity.h"
#include "model/testing/kv_memory.h"
#include "model/testing/safetensors_writer.h"
#include "model/testing/temporary_folder.h"
#include "tensor/float16.h"
#include "tensor/quantize.h"

namespace weir::model {
namespace {

using ::testing::ElementsAre;
using testing::KvMemory;
using ::testing::Pair;
using testing::SafetensorsItem;
using testing::TemporaryFolder;

constexpr std::string_view kConfig = R"({"model_type": "llama", "hidden_act": "silu",
    "num_hidden_layers": 6, "hidden_size": 256, "intermediate_size": 512,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 2048,
    "max_position_embeddings": 1024, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
    "tie_word_embeddings": true, "torch_dtype": "float16"})";
constexpr size_t kHeadDim = 64;

// GGUF's rows 2i and 2i + 1 of each head are rows i and i + d/2 of safetensors.
std::vector<std::byte> unpermuted(std::span<const std::byte> rows, size_t row_bytes) {
    std::vector<std::byte> out(rows.size());
    for (size_t row = 0; row < rows.size() / row_bytes; ++row) {
        const size_t in_head = row % kHeadDim;
        const size_t from = row - in_head + in_head % (kHeadDim / 2) * 2 + in_head / (kHeadDim / 2);
        std::memcpy(out.data() + row * row_bytes, rows.data() + from * row_bytes, row_bytes);
    }
    return out;
}

// A float32 norm as float16, which holds its values exactly: they were trained so.
std::vector<std::byte> as_half(std::span<const std::byte> floats) {
    const std::span values(reinterpret_cast<const float*>(floats.data()), floats.size() / 4);
    std::vector<std::byte> out(values.size() * 2);
    tensor::quantize_row(tensor::DType::F16, values, out);
    std::vector<float> back(values.size());
    tensor::dequantize_row(tensor::DType::F16, out.data(), back);
    EXPECT_TRUE(std::ranges::equal(values, back));
    return out;
}

void write_folder(const GgufFile& file, const TemporaryFolder& folder) {
    std::vector<SafetensorsItem> items;
    for (const GgufTensor& tensor : file.tensors()) {
        SafetensorsItem item{hugging_face_name(tensor.name, llama_family()), "F16", {}, {}};
        item.shape.assign(tensor.ne.begin(), tensor.ne.begin() + tensor.dimensions);
        std::ranges::reverse(item.shape);
        const bool rotated =
            tensor.name.ends_with("attn_q.weight") || tensor.name.ends_with("attn_k.weight");
        if (tensor.dimensions == 1) {
            item.bytes = as_half(tensor.bytes);
        } else if (rotated) {
            item.bytes = unpermuted(tensor.bytes, tensor.ne[0] * 2);
        } else {
            item.bytes.assign(tensor.bytes.begin(), tensor.bytes.end());
        }
        items.push_back(std::move(item));
    }
    folder.write("config.json", kConfig);
    folder.write("model.safetensors", testing::safetensors_file(items));
}

std::vector<float> logits(ModelSource::Pointer source, const std::vector<TokenId>& tokens) {
    kernels::ThreadPool pool(1);
    const auto model = load_model(std::move(source), {.batch_tokens_max = 64},
                                  {*kernels::available_kernels().back(), pool});
    EXPECT_TRUE(model.has_value()) << model.error().message;
    if (!model) {
        return {};
    }
    const KvMemory memory((*model)->state_spec(), tokens.size());
    std::vector<float> out(tokens.size() * (*model)->info().vocabulary);
    const SequenceSlice slice{tokens, 0, memory.view(), LogitsWanted::All};
    EXPECT_TRUE((*model)->forward(std::span(&slice, 1), out).has_value());
    return out;
}

// Both loaders feed the same numbers to the same sums in the same order, so the bound is zero.
TEST(EmbeddedModel, AsAFolderItHasTheSameBits) {
    const auto source = ModelSource::open(WEIR_TEST_EMBEDDED_MODEL);
    ASSERT_TRUE(source.has_value()) << source.error().message;
    const TemporaryFolder folder;
    write_folder(*(*source)->gguf(), folder);
    const auto from_folder = ModelSource::open(folder.path());
    ASSERT_TRUE(from_folder.has_value()) << from_folder.error().message;

    std::vector<TokenId> tokens(40);
    for (size_t i = 0; i < tokens.size(); ++i) {
        tokens[i] = static_cast<TokenId>(i * 373 % 2048);
    }
    const auto expected = logits(*source, tokens);
    const auto got = logits(*from_folder, tokens);
    ASSERT_EQ(got.size(), expected.size());
    ASSERT_FALSE(got.empty());
    EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0);
}

// Against every row at once, and the definition of the loss in long double.
TEST(EmbeddedModel, PerplexityIsTheMeanLossOfEachWindowsSecondHalf) {
    const auto source = ModelSource::open(WEIR_TEST_EMBEDDED_MODEL);
    ASSERT_TRUE(source.has_value()) << source.error().message;
    constexpr uint32_t kWindow = 12;
    constexpr size_t kOwn = kWindow - 1;  // beside the first token
    std::vector<TokenId> tokens(3 * kOwn + 5);
    for (size_t i = 0; i < tokens.size(); ++i) {
        tokens[i] = static_cast<TokenId>(i * 211 % 2048);
    }
    long double sum = 0;
    size_t count = 0;
    for (size_t begin = 0; begin + kOwn <= tokens.size(); begin += kOwn) {
        std::vector<TokenId> window = {1};
        window.insert(window.end(), tokens.begin() + static_cast<ptrdiff_t>(begin),
                      tokens.begin() + static_cast<ptrdiff_t>(begin + kOwn));
        const auto rows = logits(*source, window);
        for (size_t at = kWindow / 2; at + 1 < kWindow; ++at) {
            long double total = 0;
            for (size_t id = 0; id < 2048; ++id) {
                total += std::exp(static_cast<long double>(rows[at * 2048 + id]));
            }
            sum += std::log(total) - rows[at * 2048 + window[at + 1]];
            ++count;
        }
    }
    kernels::ThreadPool pool(1);
    const auto model =
        load_model(*source, {.batch_tokens_max = 64}, {*kernels::available_kernels().back(), pool});
    ASSERT_TRUE(model.has_value()) << model.error().message;
    std::vector<std::pair<uint64_t, uint64_t>> told;
    const auto progress = [&](const Perplexity& so_far, uint64_t windows) {
        told.emplace_back(so_far.windows, windows);
    };
    const auto found =
        perplexity(**model, tokens, {.window_tokens = kWindow, .first = 1, .progress = progress});
    ASSERT_TRUE(found.has_value()) << found.error().message;
    EXPECT_EQ(found->tokens, count);
    EXPECT_EQ(found->windows, 3u);
    EXPECT_EQ(found->left_out, 5u);
    EXPECT_THAT(told, ElementsAre(Pair(1, 3), Pair(2, 3), Pair(3, 3)));
    // 2048 additions of float64, each within half an ulp of a positive sum.
    EXPECT_NEAR(found->mean_loss, static_cast<double>(sum / static_cast<long double>(count)),
                1e-11);
    EXPECT_GT(found->standard_error, 0);
    EXPECT_EQ(perplexity(**model, std::span(tokens).first(3), {}).error().field, "text");
    EXPECT_EQ(perplexity(**model, tokens, {.window_tokens = 5000, .first = {}}).error().field,
              "window");
}

}  // namespace
}  // namespace weir::model
