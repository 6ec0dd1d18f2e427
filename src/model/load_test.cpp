#include "model/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "kernels/thread_pool.h"
#include "model/decoder.h"
#include "model/testing/gguf_writer.h"
#include "model/testing/kv_memory.h"
#include "model/testing/temporary_folder.h"
#include "model/testing/tiny_model.h"

namespace weir::model {
namespace {

using ::testing::HasSubstr;
using testing::KvMemory;
using testing::TemporaryFolder;
using testing::TinyModel;

// A GGUF with the tensors of `model` that `keep` keeps, after `change` has had its way.
std::vector<std::byte> gguf_with(const TinyModel& model,
                                 const std::function<bool(testing::TinyTensor&)>& keep) {
    testing::GgufWriter file;
    file.add_text("general.architecture", "llama");
    file.add_u32("llama.block_count", model.layers).add_u32("llama.context_length", 64);
    file.add_u32("llama.embedding_length", model.hidden);
    file.add_u32("llama.feed_forward_length", model.feed_forward);
    file.add_u32("llama.attention.head_count", model.heads);
    file.add_u32("llama.attention.head_count_kv", model.kv_heads);
    file.add_u32("llama.vocab_size", model.vocabulary);
    file.add_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    for (testing::TinyTensor& tensor : testing::tiny_tensors(model)) {
        if (keep(tensor)) {
            file.add_tensor(tensor.name, tensor.shape, 0, std::as_bytes(std::span(tensor.values)));
        }
    }
    return file.finish();
}

std::string refusal(std::span<const std::byte> bytes) {
    const auto source = ModelSource::from_bytes(bytes);
    EXPECT_TRUE(source.has_value()) << source.error().message;
    const auto plan = plan_memory(**source, {});
    EXPECT_FALSE(plan.has_value());
    return plan ? "accepted" : plan.error().message;
}

TEST(Load, MF14_AnAdapterIsNoModel) {
    testing::GgufWriter adapter;
    adapter.add_text("general.type", "adapter").add_text("general.architecture", "llama");
    adapter.add_text("adapter.type", "lora").add_f32("adapter.lora.alpha", 16);
    EXPECT_THAT(refusal(adapter.finish()), HasSubstr("key general.type: \"adapter\" is no model"));
}

TEST(Load, AMissingTensorIsNamed) {
    EXPECT_THAT(refusal(gguf_with({}, [](auto& t) { return t.name != "blk.1.ffn_up.weight"; })),
                HasSubstr("tensor blk.1.ffn_up.weight is missing"));
}

TEST(Load, AMissingTensorOfAFolderHasTheFoldersName) {
    const TemporaryFolder folder;
    testing::write_tiny_folder({.layers = 1}, folder.path());
    folder.write("config.json", testing::tiny_config_json({.layers = 2}));
    const auto source = ModelSource::open(folder.path());
    EXPECT_THAT(plan_memory(**source, {}).error().message,
                HasSubstr("model.layers.1.input_layernorm.weight is missing"));
}

TEST(Load, AShapeOtherThanTheConfigsIsNamed) {
    const auto transposed = gguf_with({}, [](auto& tensor) {
        if (tensor.name == "blk.0.ffn_down.weight") {
            std::swap(tensor.shape[0], tensor.shape[1]);
        }
        return true;
    });
    EXPECT_THAT(refusal(transposed),
                HasSubstr("tensor blk.0.ffn_down.weight: shape [88, 64], but the config says"));
}

TEST(Load, ATensorThatNobodyUsesIsRefused) {
    const auto extra = gguf_with({.layers = 1}, [](auto& tensor) {
        if (tensor.name == "output.weight") {
            tensor.name = "blk.0.attn_sinks.weight";
        }
        return true;
    });
    EXPECT_THAT(refusal(extra), HasSubstr("tensor blk.0.attn_sinks.weight"));
}

// Only a family that is published with such layers may have them.
TEST(Load, LayersForDraftingAreNotLeftAloneInEveryFamily) {
    const auto drafting = gguf_with({.layers = 1}, [](auto& tensor) {
        if (tensor.name == "output.weight") {
            tensor.name = "mtp.fc.weight";
        }
        return true;
    });
    EXPECT_THAT(refusal(drafting), HasSubstr("tensor mtp.fc.weight"));
}

TEST(Load, ABiasThatTheConfigDeniesIsRefused) {
    const TemporaryFolder folder;
    testing::write_tiny_folder({.attention_bias = true}, folder.path());
    folder.write("config.json", testing::tiny_config_json({.attention_bias = false}));
    const auto source = ModelSource::open(folder.path());
    EXPECT_THAT(plan_memory(**source, {}).error().message, HasSubstr("self_attn"));
}

TEST(Load, ATypeThatCannotBeComputedWithIsNamed) {
    testing::GgufWriter file;
    file.add_text("general.architecture", "llama");
    file.add_u32("llama.block_count", 1).add_u32("llama.context_length", 64);
    file.add_u32("llama.embedding_length", 32).add_u32("llama.feed_forward_length", 32);
    file.add_u32("llama.attention.head_count", 2).add_u32("llama.vocab_size", 2);
    file.add_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    const uint64_t shape[] = {2, 32};
    file.add_tensor("token_embd.weight", shape, 24, std::vector<std::byte>(64));  // I8
    EXPECT_THAT(refusal(file.finish()), HasSubstr("tensor token_embd.weight: type I8"));
}

TEST(Load, ThePlanIsWhatLoadingTakes) {
    const TinyModel model{.rope = testing::TinyRope::Llama3};
    const auto bytes = testing::tiny_gguf(model);
    const auto source = ModelSource::from_bytes(bytes);
    const LoadOptions options{.batch_tokens_max = 8};
    const auto plan = plan_memory(**source, options);
    ASSERT_TRUE(plan.has_value()) << plan.error().message;

    uint64_t weights = 4 * model.head_dim / 2;  // rope_freqs
    uint64_t parameters = model.head_dim / 2;
    for (const auto& tensor : testing::tiny_tensors(model)) {
        weights += 4 * tensor.values.size();
        parameters += tensor.values.size();
    }
    EXPECT_EQ(plan->weights_mapped_bytes + plan->weights_copied_bytes, weights);
    EXPECT_EQ(plan->info.parameters, parameters);
    EXPECT_EQ(plan->state.kv_dtype, tensor::DType::F32);
    // 2 layers, 2 KV heads of 16, keys and values, 4 bytes each.
    EXPECT_EQ(plan->kv_bytes_per_token, 2u * 2 * 16 * 2 * 4);
    EXPECT_EQ(plan->kv_block_bytes.front(), 16 * plan->kv_bytes_per_token);
    EXPECT_EQ(plan->recurrent_bytes, 0u);

    kernels::ThreadPool pool(1);
    const auto loaded = load_model(*source, options, {*kernels::available_kernels().front(), pool});
    ASSERT_TRUE(loaded.has_value());
    EXPECT_EQ((*loaded)->info().weight_bytes, weights);
    EXPECT_EQ((*loaded)->batch_tokens_max(), 8u);
}

TEST(Load, KvIsHalfPrecisionUnlessTheFileIsFloat32) {
    const auto bytes = testing::tiny_gguf({.dtype = tensor::DType::BF16});
    const auto source = ModelSource::from_bytes(bytes);
    EXPECT_EQ(plan_memory(**source, {})->state.kv_dtype, tensor::DType::F16);
    EXPECT_EQ(plan_memory(**source, {.kv_dtype = tensor::DType::F32})->state.kv_dtype,
              tensor::DType::F32);
}

TEST(Load, OptionsAreChecked) {
    const auto bytes = testing::tiny_gguf({});
    const auto source = ModelSource::from_bytes(bytes);
    EXPECT_EQ(plan_memory(**source, {.batch_tokens_max = 0}).error().field, "batch_tokens_max");
    EXPECT_EQ(plan_memory(**source, {.context_tokens = 0}).error().field, "context_tokens");
    EXPECT_EQ(plan_memory(**source, {.block_tokens = 17}).error().field, "block_tokens");
    EXPECT_EQ(plan_memory(**source, {.kv_dtype = tensor::DType::Q4_0}).error().field, "kv_dtype");
    EXPECT_EQ(plan_memory(**source, {.context_tokens = 100})->info.context_tokens, 100u);
    EXPECT_EQ(plan_memory(**source, {.context_tokens = 1000})->info.context_tokens, 256u);
}

TEST(Load, AModelAtAnOddAddressIsCopied) {
    const auto bytes = testing::tiny_gguf({});
    std::vector<std::byte> odd(bytes.size() + 1);
    std::ranges::copy(bytes, odd.begin() + 1);
    const auto source = ModelSource::from_bytes(std::span(odd).subspan(1));
    const auto plan = plan_memory(**source, {});
    ASSERT_TRUE(plan.has_value()) << plan.error().message;
    EXPECT_EQ(plan->weights_mapped_bytes, 0u);
}

// Where 16-bit and quantized weights lie at even addresses, nothing of them is copied.
TEST(Load, OnlyWhatItsTypeCannotReadInPlaceIsCopied) {
    for (const tensor::DType dtype : {tensor::DType::BF16, tensor::DType::Q4_K}) {
        TinyModel model = TinyModel::for_dtype(dtype);
        const auto bytes = testing::tiny_gguf(model);
        std::vector<std::byte> shifted(bytes.size() + 2);
        std::ranges::copy(bytes, shifted.begin() + 2);
        const auto source = ModelSource::from_bytes(std::span(shifted).subspan(2));
        uint64_t matrices = 0;
        uint64_t vectors = 0;
        for (const GgufTensor& tensor : (*source)->gguf()->tensors()) {
            (tensor.dimensions == 2 ? matrices : vectors) += tensor.bytes.size();
        }
        const auto plan = plan_memory(**source, {.batch_tokens_max = 4});
        ASSERT_TRUE(plan.has_value()) << plan.error().message;
        EXPECT_EQ(plan->weights_mapped_bytes, matrices);
        EXPECT_EQ(plan->weights_copied_bytes, vectors);

        kernels::ThreadPool pool(1);
        const auto loaded = load_model(*source, {.batch_tokens_max = 4},
                                       {*kernels::available_kernels().front(), pool});
        ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
        EXPECT_EQ((*loaded)->info().weight_bytes, matrices + vectors);
    }
}

TEST(Load, AWidenedVectorCountsOnce) {
    const TinyModel model{.dtype = tensor::DType::BF16};
    const TemporaryFolder folder;
    testing::write_tiny_folder(model, folder.path());
    uint64_t matrices = 0;
    uint64_t vectors = 0;
    for (const auto& tensor : testing::tiny_tensors(model)) {
        (tensor.shape.size() == 2 ? matrices : vectors) += tensor.values.size();
    }
    const auto plan = plan_memory(**ModelSource::open(folder.path()), {});
    ASSERT_TRUE(plan.has_value()) << plan.error().message;
    EXPECT_EQ(plan->weights_mapped_bytes, 2 * matrices);
    EXPECT_EQ(plan->weights_copied_bytes, 4 * vectors);
}

TEST(Load, APlanRefusesWhatLoadingWould) {
    const auto bytes = testing::tiny_gguf({});
    std::vector<std::byte> odd(bytes.size() + 1);
    std::ranges::copy(bytes, odd.begin() + 1);
    const auto source = ModelSource::from_bytes(std::span(odd).subspan(1));
    const LoadOptions options{.batch_tokens_max = 4};
    const auto plan = plan_memory(**source, options);
    kernels::ThreadPool pool(1);
    const auto loaded = load_model(*source, options, {*kernels::available_kernels().front(), pool});
    ASSERT_TRUE(plan.has_value() && loaded.has_value());
    EXPECT_EQ(plan->weights_copied_bytes, (*loaded)->info().weight_bytes);
    EXPECT_EQ(plan->info.parameters, (*loaded)->info().parameters);
}

std::vector<float> logits_of(const TemporaryFolder& folder) {
    const std::vector<TokenId> tokens = {5, 17, 99, 3, 3, 42};
    kernels::ThreadPool pool(1);
    const auto loaded = load_model(*ModelSource::open(folder.path()), {.batch_tokens_max = 8},
                                   {*kernels::available_kernels().front(), pool});
    EXPECT_TRUE(loaded.has_value()) << loaded.error().message;
    if (!loaded) {
        return {};
    }
    std::vector<float> out(tokens.size() * (*loaded)->info().vocabulary);
    const KvMemory memory((*loaded)->state_spec(), tokens.size());
    const SequenceSlice slice{tokens, 0, memory.view(), LogitsWanted::All};
    EXPECT_TRUE((*loaded)->forward(std::span(&slice, 1), out).has_value());
    return out;
}

std::vector<float> logits_of(const TinyModel& model) {
    const TemporaryFolder folder;
    testing::write_tiny_folder(model, folder.path(), 2);
    return logits_of(folder);
}

// Mistral Small 3.1 as published, and as transformers 5 saves it again.
TEST(Load, AWrappedDecoderHasTheBitsOfTheDecoderAlone) {
    const auto expected = logits_of(TinyModel{});
    for (const auto wrap : {testing::TinyWrap::LanguageModelFirst, testing::TinyWrap::ModelFirst}) {
        EXPECT_EQ(logits_of({.wrap = wrap}), expected);
    }
    EXPECT_EQ(logits_of({.tied = true, .wrap = testing::TinyWrap::LanguageModelFirst}),
              logits_of({.tied = true}));
}

// As of Qwen3.5's wrapped folders whose two configs differ in it.
TEST(Load, AnOutputMatrixThatIsThereCountsWhateverTheConfigSays) {
    const TinyModel own;
    const TemporaryFolder folder;
    testing::write_tiny_folder(own, folder.path(), 2);
    const auto config = folder.path() / "config.json";
    std::ofstream(config) << testing::tiny_config_json({.tied = true});
    EXPECT_EQ(logits_of(folder), logits_of(own));
    EXPECT_NE(logits_of(own), logits_of({.tied = true}));
}

// What is no part of the decoder is not looked at only where the config says that it is wrapped.
TEST(Load, AVisionTowerBesideAPlainDecoderIsRefused) {
    const TemporaryFolder folder;
    testing::write_tiny_folder({.wrap = testing::TinyWrap::LanguageModelFirst}, folder.path());
    folder.write("config.json", testing::tiny_config_json({}));
    EXPECT_FALSE(plan_memory(**ModelSource::open(folder.path()), {}).has_value());
}

TEST(Load, OneFileOfAFolderIsNoModel) {
    const TemporaryFolder folder;
    testing::write_tiny_folder({}, folder.path());
    EXPECT_THAT(ModelSource::open(folder.path() / "model.safetensors").error().message,
                HasSubstr("open its folder"));
}

TEST(Load, AFolderWithoutWeightsLoadsNoModel) {
    const TemporaryFolder folder;
    folder.write("tokenizer.json", "{}");
    const auto source = ModelSource::open(folder.path());
    ASSERT_TRUE(source.has_value());
    EXPECT_THAT(plan_memory(**source, {}).error().message, HasSubstr("config.json"));
}

TEST(Load, AFolderWithoutANameHasItsOwn) {
    const TemporaryFolder folder;
    testing::write_tiny_folder({}, folder.path() / "my-model");
    const auto source = ModelSource::open(folder.path() / "my-model");
    EXPECT_EQ(plan_memory(**source, {})->info.name, "my-model");
}

// Requests that the engine must not make, and that must not take the process down.
class BadBatch : public ::testing::Test {
  protected:
    BadBatch() {
        model_ = *load_model(*ModelSource::from_bytes(bytes_), {.batch_tokens_max = 4},
                             {*kernels::available_kernels().front(), pool_});
        logits_.resize(model_->info().vocabulary);
    }

    ErrorCode code(const SequenceSlice& slice) {
        const auto done = model_->forward(std::span(&slice, 1), logits_);
        EXPECT_FALSE(done.has_value());
        return done ? ErrorCode::Cancelled : done.error().code;
    }

    std::vector<std::byte> bytes_ = testing::tiny_gguf({});
    kernels::ThreadPool pool_{1};
    std::unique_ptr<Model> model_;
    std::vector<float> logits_;
};

TEST_F(BadBatch, IsRefused) {
    const KvMemory memory(model_->state_spec(), 16);
    const std::vector<TokenId> fine = {1, 2};
    const std::vector<TokenId> unknown = {101};
    const std::vector<TokenId> many(5, 1);
    EXPECT_EQ(code({fine, 256, memory.view()}), ErrorCode::InvalidArgument);
    EXPECT_EQ(code({unknown, 0, memory.view()}), ErrorCode::InvalidArgument);
    EXPECT_EQ(code({many, 0, memory.view()}), ErrorCode::InvalidArgument);
    EXPECT_EQ(code({{}, 0, memory.view()}), ErrorCode::InvalidArgument);
    EXPECT_EQ(code({fine, 0, memory.view(), LogitsWanted::All}), ErrorCode::InvalidArgument);
    EXPECT_EQ(code({fine, 15, memory.view()}), ErrorCode::Internal);  // needs a second block
    EXPECT_EQ(code({fine, 0, {}}), ErrorCode::Internal);
    const SequenceSlice good{fine, 0, memory.view()};
    EXPECT_TRUE(model_->forward(std::span(&good, 1), logits_).has_value());
    EXPECT_TRUE(model_->forward({}, {}).has_value());
}

}  // namespace
}  // namespace weir::model
