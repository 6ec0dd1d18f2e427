// Qwen3-Next and Qwen3.5 whole: both file formats against the formulas in double precision, and the
// recurrent state against itself.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "kernels/thread_pool.h"
#include "model/load.h"
#include "model/testing/kv_memory.h"
#include "model/testing/temporary_folder.h"
#include "model/testing/tiny_hybrid.h"

namespace weir::model {
namespace {

using testing::HybridFamily;
using testing::KvMemory;
using testing::TinyHybrid;

struct Loaded {
    std::vector<std::byte> bytes;
    std::unique_ptr<testing::TemporaryFolder> folder;
    std::unique_ptr<kernels::ThreadPool> pool;
    std::unique_ptr<Model> model;
};

enum class Form : uint8_t { Folder, Gguf };

Loaded load(const TinyHybrid& shape, Form form,
            const kernels::KernelSet& kernels = *kernels::available_kernels().back()) {
    Loaded out;
    Result<ModelSource::Pointer> source;
    if (form == Form::Gguf) {
        out.bytes = testing::hybrid_gguf(shape);
        source = ModelSource::from_bytes(out.bytes);
    } else {
        out.folder = std::make_unique<testing::TemporaryFolder>();
        testing::write_hybrid_folder(shape, out.folder->path());
        source = ModelSource::open(out.folder->path());
    }
    EXPECT_TRUE(source) << source.error().message;
    out.pool = std::make_unique<kernels::ThreadPool>(2);
    auto model = load_model(*source, {}, {kernels, *out.pool});
    EXPECT_TRUE(model) << model.error().message;
    out.model = *std::move(model);
    return out;
}

std::vector<TokenId> some_tokens(size_t count, uint32_t vocabulary) {
    std::mt19937_64 random(5);
    std::vector<TokenId> tokens(count);
    std::ranges::generate(tokens, [&] { return static_cast<TokenId>(random() % vocabulary); });
    return tokens;
}

// Logits of every position, in pieces of `chunk` tokens.
std::vector<float> logits(Model& model, const std::vector<TokenId>& tokens, size_t chunk) {
    const size_t vocabulary = model.info().vocabulary;
    KvMemory memory(model.state_spec(), tokens.size());
    std::vector<float> out(tokens.size() * vocabulary);
    for (size_t at = 0; at < tokens.size(); at += chunk) {
        const size_t count = std::min(chunk, tokens.size() - at);
        const SequenceSlice slice{std::span(tokens).subspan(at, count), static_cast<uint32_t>(at),
                                  memory.view(), LogitsWanted::All};
        const auto done = model.forward(
            std::span(&slice, 1), std::span(out).subspan(at * vocabulary, count * vocabulary));
        EXPECT_TRUE(done.has_value()) << done.error().message;
    }
    return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

constexpr size_t kTokens = 70;  // four blocks and a part

std::vector<TinyHybrid> shapes() {
    return {{},
            {.wrapped = true},
            {.family = HybridFamily::Qwen3Next},
            {.taps = 2, .key_heads = 1, .value_heads = 1, .key_dim = 20, .value_dim = 7},
            {.family = HybridFamily::Qwen3Next, .key_heads = 3, .value_heads = 6, .value_dim = 16},
            {.layers = 2, .experts = 5, .wrapped = true},
            {.family = HybridFamily::Qwen3Next, .layers = 2, .experts = 6, .chosen = 3}};
}

// As in decoder_test.cpp: some twenty places that round one after the other, sums of at most 100
// terms that cancel to a tenth of their absolute sum; the recurrence forgets its own errors.
constexpr double kBound = 2e-4;

TEST(Hybrid, BothFormatsGiveTheReferencesLogits) {
    for (const TinyHybrid& shape : shapes()) {
        const std::vector<TokenId> tokens = some_tokens(kTokens, shape.vocabulary);
        const auto expected = testing::hybrid_logits(shape, tokens);
        for (const Form form : {Form::Folder, Form::Gguf}) {
            Loaded loaded = load(shape, form);
            ASSERT_TRUE(loaded.model);
            const std::vector<float> got = logits(*loaded.model, tokens, kTokens);
            for (size_t i = 0; i < got.size(); ++i) {
                ASSERT_NEAR(got[i], expected[i / shape.vocabulary][i % shape.vocabulary], kBound)
                    << "position " << i / shape.vocabulary << (form == Form::Gguf ? ", GGUF" : "");
            }
        }
    }
}

// Qwen3-Next's mlp_only_layers, for which GGUF has no key.
TEST(Hybrid, ALayerAmongTheMixturesMayBeDense) {
    const TinyHybrid shape{
        .family = HybridFamily::Qwen3Next, .layers = 3, .experts = 5, .dense_layer = 1};
    const std::vector<TokenId> tokens = some_tokens(20, shape.vocabulary);
    const auto expected = testing::hybrid_logits(shape, tokens);
    Loaded loaded = load(shape, Form::Folder);
    ASSERT_TRUE(loaded.model);
    const std::vector<float> got = logits(*loaded.model, tokens, tokens.size());
    for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_NEAR(got[i], expected[i / shape.vocabulary][i % shape.vocabulary], kBound);
    }
}

TEST(Hybrid, ThePiecesAndTheKernelsDoNotShowInTheBits) {
    for (const TinyHybrid& shape :
         {TinyHybrid{.family = HybridFamily::Qwen3Next}, TinyHybrid{},
          TinyHybrid{.family = HybridFamily::Qwen3Next, .layers = 2, .experts = 5},
          TinyHybrid{.layers = 2, .experts = 5}}) {
        const std::vector<TokenId> tokens = some_tokens(kTokens, shape.vocabulary);
        Loaded first = load(shape, Form::Folder);
        const std::vector<float> expected = logits(*first.model, tokens, kTokens);
        for (const kernels::KernelSet* kernels : kernels::available_kernels()) {
            Loaded loaded = load(shape, Form::Folder, *kernels);
            for (const size_t chunk : {size_t{1}, size_t{7}, size_t{16}, kTokens}) {
                ASSERT_TRUE(same_bits(logits(*loaded.model, tokens, chunk), expected))
                    << kernels::name(*kernels) << " in pieces of " << chunk;
            }
        }
    }
}

// What the cache relies on: a copy in the middle of a pass is the state of a pass that ends there.
TEST(Hybrid, AStateIsCopiedWhereItIsAskedFor) {
    Loaded loaded = load({}, Form::Gguf);
    Model& model = *loaded.model;
    const std::vector<TokenId> tokens = some_tokens(kTokens, model.info().vocabulary);
    std::vector<std::vector<std::byte>> copies(
        2, std::vector<std::byte>(model.state_spec().recurrent_bytes));
    const std::vector<kv::StateCopy> asked = {{16, copies[0].data()}, {64, copies[1].data()}};
    KvMemory memory(model.state_spec(), kTokens);
    kv::SequenceView view = memory.view();
    view.copies = asked;
    const SequenceSlice whole{tokens, 0, view, LogitsWanted::None};
    ASSERT_TRUE(model.forward(std::span(&whole, 1), {}));
    for (size_t i = 0; i < asked.size(); ++i) {
        KvMemory shorter(model.state_spec(), kTokens);
        const SequenceSlice slice{std::span(tokens).first(asked[i].position), 0, shorter.view(),
                                  LogitsWanted::None};
        ASSERT_TRUE(model.forward(std::span(&slice, 1), {}));
        EXPECT_TRUE(std::ranges::equal(copies[i], shorter.recurrent()));
    }
}

TEST(Hybrid, ThePlanSaysWhatItRemembers) {
    const TinyHybrid shape;
    Loaded loaded = load(shape, Form::Gguf);
    const kv::StateSpec& spec = loaded.model->state_spec();
    ASSERT_EQ(spec.groups.size(), 1u);
    EXPECT_EQ(spec.groups[0].layers, (std::vector<uint32_t>{1, 3}));
    // Three rows of a convolution over 2 * 2 * 8 + 6 * 12 channels, 1248 bytes to a multiple of 64;
    // a matrix of 8 by 12 for each of 6 heads; two layers.
    EXPECT_EQ(spec.recurrent_bytes, 2 * (1280u + 6 * 8 * 12 * 4));
}

TEST(Hybrid, ASequenceWithoutItsStateIsRefused) {
    Loaded loaded = load({}, Form::Gguf);
    const std::vector<TokenId> tokens = {1, 2, 3};
    KvMemory memory(loaded.model->state_spec(), tokens.size());
    kv::SequenceView view = memory.view();
    view.recurrent = nullptr;
    const SequenceSlice slice{tokens, 0, view, LogitsWanted::None};
    EXPECT_EQ(loaded.model->forward(std::span(&slice, 1), {}).error().code, ErrorCode::Internal);
}

std::string refusal(std::string_view key, std::string_view value) {
    std::string config = testing::hybrid_config_json({});
    const std::string quoted = "\"" + std::string(key) + "\": ";
    const size_t at = config.find(quoted);
    if (at == std::string::npos) {
        config.insert(1, quoted + std::string(value) + ",");
    } else {
        const size_t begin = at + quoted.size();
        config.replace(begin, config.find_first_of(",}", begin) - begin, value);
    }
    const testing::TemporaryFolder folder;
    testing::write_hybrid_folder({}, folder.path(), config);
    const auto source = ModelSource::open(folder.path());
    if (!source) {
        return source.error().message;
    }
    const auto plan = plan_memory(**source, {});
    return plan ? "" : plan.error().message;
}

// MF: a config that means nothing, or that its tensors contradict, is refused by the key's or the
// tensor's name before anything is computed.
TEST(Hybrid, MF_AConfigThatMeansNothingIsRefusedByName) {
    const auto expect = [](std::string_view key, std::string_view value, std::string_view named) {
        const std::string message = refusal(key, value);
        EXPECT_NE(message.find(named), std::string::npos) << key << ": " << message;
    };
    EXPECT_EQ(refusal("initializer_range", "0.02"), "");
    expect("linear_num_value_heads", "5", "linear_num_value_heads");  // not a multiple of 2
    expect("linear_num_value_heads", "0", "linear_num_value_heads");
    expect("linear_num_key_heads", "4294967295", "linear_num_key_heads");
    expect("linear_key_head_dim", "0", "linear_key_head_dim");
    expect("linear_value_head_dim", "100000", "linear_value_head_dim");
    expect("linear_conv_kernel_dim", "17", "linear_conv_kernel_dim");
    expect("linear_key_head_dim", "16", "linear_attn");  // the tensors say 8
    expect("full_attention_interval", "0", "full_attention_interval");
    expect("layer_types", R"(["linear_attention"])", "layer_types");
    expect("layer_types", R"(["a", "b", "c", "d"])", "layer_types");
}

}  // namespace
}  // namespace weir::model
