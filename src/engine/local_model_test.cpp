#include "engine/local_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/testing/event_log.h"
#include "model/testing/temporary_folder.h"
#include "model/testing/tiny_model.h"

namespace weir::engine {
namespace {

using model::testing::TemporaryFolder;
using model::testing::TinyModel;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Ids: <unk> 0, <s> 1, </s> 2, a 3, b 4 …; as many as the tiny model has.
std::string tokenizer_json(uint32_t vocabulary) {
    std::string tokens = R"("<unk>": 0, "<s>": 1, "</s>": 2)";
    for (uint32_t id = 3; id < vocabulary; ++id) {
        tokens += id < 29 ? fmt::format(R"(, "{}": {})", static_cast<char>('a' + id - 3), id)
                          : fmt::format(R"(, "x{}": {})", id, id);
    }
    return fmt::format(R"({{"added_tokens": [
        {{"id": 0, "content": "<unk>", "special": true, "normalized": false}},
        {{"id": 1, "content": "<s>", "special": true, "normalized": false}},
        {{"id": 2, "content": "</s>", "special": true, "normalized": false}}],
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {{"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": false,
        "vocab": {{{}}}, "merges": []}}}})",
                       tokens);
}

// A Hugging Face folder that can be loaded. config.json says that 2 and 3 end a text.
struct Folder {
    explicit Folder(const TinyModel& model = {}) {
        model::testing::write_tiny_folder(model, folder.path());
        folder.write("tokenizer.json", tokenizer_json(model.vocabulary));
        folder.write("tokenizer_config.json", std::string_view(R"({"eos_token": "</s>"})"));
    }
    model::ModelSource::Pointer open() const {
        return model::ModelSource::open(folder.path()).value();
    }
    Result<std::unique_ptr<LocalModel>> load(const LocalModelOptions& options = {.threads = 1}) {
        return LocalModel::load(open(), options, system_clock(), registry);
    }
    TemporaryFolder folder;
    metrics::Registry registry;
};

std::vector<std::string> answer(LocalModel& model, uint32_t tokens_max) {
    chat::ChatRequest request;
    request.input = chat::RawPrompts{.prompts = {std::string("abc")}};
    request.sampling.tokens_max = tokens_max;
    request.sampling.temperature = 0.0f;
    request.sampling.logprobs = 0;
    const auto log = std::make_shared<testing::EventLog>();
    model.backend().start(std::make_shared<const chat::ChatRequest>(request), log, {});
    log->wait();
    return log->lines();
}

TEST(LocalModel, EndTokensAreTheTokenizersAndTheFolders) {
    Folder folder;
    auto tokenizer = load_tokenizer(*folder.open());
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    EXPECT_THAT(end_tokens_of(*folder.open(), &*tokenizer, 101).value(), ElementsAre(2u, 3u));
    folder.folder.write("generation_config.json", std::string_view(R"({"eos_token_id": [50, 7]})"));
    EXPECT_THAT(end_tokens_of(*folder.open(), &*tokenizer, 101).value(), ElementsAre(2u, 7u, 50u));
    EXPECT_THAT(end_tokens_of(*folder.open(), nullptr, 101).value(), ElementsAre(7u, 50u));
    const auto missing = end_tokens_of(*folder.open(), &*tokenizer, 50);
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, ErrorCode::DataCorrupt);
    EXPECT_THAT(missing.error().message, HasSubstr("no token 50"));
    EXPECT_TRUE(LocalModel::check_texts(*folder.open()));
    folder.folder.write("generation_config.json", std::string_view(R"({"eos_token_id": 5000})"));
    EXPECT_FALSE(LocalModel::check_texts(*folder.open()));
}

// The model's first token is found out, and then made an end that only the folder knows.
TEST(LocalModel, AFoldersOwnEndTokensEndAnAnswer) {
    Folder folder;
    folder.folder.write("generation_config.json", std::string_view(R"({"eos_token_id": 2})"));
    std::vector<std::string> said;
    {
        auto model = folder.load();
        ASSERT_TRUE(model) << model.error().message;
        (*model)->run();
        said = answer(**model, 1);
    }
    ASSERT_THAT(said, Contains("0 length"));
    const auto ends = [&](uint32_t id) {
        folder.folder.write("generation_config.json",
                            fmt::format(R"({{"eos_token_id": [2, {}]}})", id));
        auto model = folder.load();
        EXPECT_TRUE(model) << model.error().message;
        (*model)->run();
        return answer(**model, 1) == std::vector<std::string>{"started", "0 stop", "finished 3+1"};
    };
    uint32_t found = 0;
    for (uint32_t id = 3; id < 101; ++id) {
        found += ends(id) ? 1 : 0;
    }
    EXPECT_EQ(found, 1u);  // it is one of them, and only that one
}

TEST(LocalModel, ThePlanIsWhatLoadingTakes) {
    for (const TinyModel& tiny : {TinyModel{}, TinyModel{.layers = 3, .window = 19},
                                  TinyModel{.family = "qwen3", .dtype = tensor::DType::BF16}}) {
        Folder folder(tiny);
        for (const LocalModelOptions& options :
             {LocalModelOptions{.threads = 1}, LocalModelOptions{.context_tokens = 64,
                                                                 .cache_tokens = 1000,
                                                                 .threads = 2,
                                                                 .batch_tokens_max = 48}}) {
            const auto plan = LocalModel::plan(*folder.open(), options);
            ASSERT_TRUE(plan) << plan.error().message;
            const auto model = folder.load(options);
            ASSERT_TRUE(model) << model.error().message;
            EXPECT_EQ((*model)->memory(), plan->engine);
            EXPECT_EQ((*model)->model().info().weight_bytes, plan->model.info.weight_bytes);
            EXPECT_EQ((*model)->model().batch_tokens_max(), options.batch_tokens_max);
            const kv::StateSpec& state = (*model)->model().state_spec();
            EXPECT_EQ(kv::reserved_bytes(state, plan->engine.limits).value(),
                      plan->engine.kv_bytes);
            EXPECT_EQ(plan->engine.limits.blocks * kv::pool_block_bytes(state),
                      plan->engine.kv_bytes);
            EXPECT_EQ(plan->total_bytes(),
                      plan->model.weights_mapped_bytes + plan->model.weights_copied_bytes +
                          plan->model.scratch_bytes + plan->engine.kv_bytes +
                          plan->engine.kv_table_bytes + plan->engine.logits_bytes +
                          plan->engine.sampling_bytes);
        }
    }
}

TEST(LocalModel, AnAbsurdCacheIsPlannedInFullOrRefused) {
    const Folder folder;
    const auto plan =
        LocalModel::plan(*folder.open(), {.cache_tokens = UINT32_MAX - 3, .threads = 1});
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_GE(uint64_t{plan->engine.limits.blocks} * plan->model.state.block_tokens,
              uint64_t{UINT32_MAX} - 3);
}

TEST(LocalModel, WithoutAWishASmallModelHasRoomForAllThatRunTogether) {
    const Folder folder;
    const auto plan = LocalModel::plan(*folder.open(), {.threads = 1});
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->engine.context_tokens, 256u);
    EXPECT_GE(plan->engine.limits.blocks * plan->model.state.block_tokens, 32 * 256u);
}

// Five windowed layers to one that sees all: of a long text most layers keep a window.
TEST(LocalModel, WindowedLayersAreNotPlannedForWhatTheyCannotSee) {
    static constexpr uint32_t kContext = 131072;
    const auto plan_for = [](std::optional<uint32_t> window) {
        const auto bytes = model::testing::tiny_gguf(
            {.family = "gemma3_text", .layers = 6, .context = kContext, .window = window});
        return LocalModel::plan(**model::ModelSource::from_bytes(bytes),
                                {.context_tokens = kContext, .threads = 1});
    };
    const auto all = plan_for(std::nullopt);
    const auto windowed = plan_for(1024);
    ASSERT_TRUE(all && windowed);
    EXPECT_EQ(windowed->engine.context_tokens, kContext);
    EXPECT_LT(windowed->engine.kv_bytes, all->engine.kv_bytes * 2 / 5);  // every third sees all
    EXPECT_GE(windowed->engine.kv_tokens, kContext);
}

}  // namespace
}  // namespace weir::engine
